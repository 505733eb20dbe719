// chromadb 3.5.0. Arguments: the server's URL, and the data of the scenario.
import { ChromaClient } from "chromadb";
import { run } from "../scenario.mjs";

const { hostname: host, port } = new URL(process.argv[2]);
const client = new ChromaClient({ host, port: Number(port), ssl: false });
process.stdout.write(JSON.stringify(await run(client, null, JSON.parse(process.argv[3]))));
