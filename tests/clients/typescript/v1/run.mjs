// chromadb 1.9.2, the last release on API v1. Arguments: the server's URL, and the data of the scenario.
import { ChromaClient } from "chromadb";
import { run } from "../scenario.mjs";

const embedding = { generate: () => Promise.reject(new Error("no embedding function expected")) };
const client = new ChromaClient({ path: process.argv[2] });
process.stdout.write(JSON.stringify(await run(client, embedding, JSON.parse(process.argv[3]))));
