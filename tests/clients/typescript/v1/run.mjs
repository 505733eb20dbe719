// chromadb 1.9.2, the last that speaks v1. Arguments: the server's URL, and what the scenario is made of.
import { ChromaClient } from "chromadb";
import { run } from "../scenario.mjs";

const embedding = { generate: () => Promise.reject(new Error("nothing is to be embedded here")) };
const client = new ChromaClient({ path: process.argv[2] });
process.stdout.write(JSON.stringify(await run(client, embedding, JSON.parse(process.argv[3]))));
