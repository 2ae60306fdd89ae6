// A client made of the description that the node itself serves: modules, address, key.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [modules, address, key] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { OpenAPIClientAxios } = require("openapi-client-axios");

const base = `http://${address}`;
const headers = { "X-API-KEY": key };
const answer = await fetch(`${base}/bartizan/v1/openapi.json`, { headers });
assert.equal(answer.status, 200);
const definition = await answer.json();
const axiosConfigDefaults = { baseURL: base, headers, validateStatus: () => true };
const api = new OpenAPIClientAxios({ definition, axiosConfigDefaults });
const client = await api.init();

const statusOf = async (call) => (await call).status;
const upstream = { type: "roundrobin", nodes: { "127.0.0.1:9": 1 } };
const plugins = { "key-auth": {}, "consumer-restriction": { whitelist: ["ann"] } };

assert.equal(await statusOf(client.put_upstreams_id("u", upstream)), 201);
const ann = { username: "ann", plugins: { "key-auth": { key: "2f8b7e6d5c4b3a2918070605040302ff" } } };
assert.equal(await statusOf(client.put_consumers(null, ann)), 201);
const route = { uri: "/a", upstream_id: "u", plugins };
assert.equal(await statusOf(client.put_routes_id("r", route)), 201);
assert.equal(await statusOf(client.patch_routes_id("r", { uri: "/b", desc: "moved" })), 200);
const read = await client.get_routes_id("r");
assert.deepEqual([read.data.value.uri, read.data.value.desc], ["/b", "moved"]);
const listed = await client.get_routes({ page: 1, page_size: 10 });
assert.deepEqual([listed.data.total, listed.data.list[0].value.id], [1, "r"]);

const open = await client.put_routes_id("open", { uri: "/open", upstream_id: "u" });
assert.equal(open.status, 400);
assert.match(open.data.error_msg, /authentication/);
assert.equal(await statusOf(client.get_routes_id("open")), 404);
assert.equal(await statusOf(client.delete_upstreams_id("u")), 400);

assert.equal(await statusOf(client.delete_routes_id("r")), 200);
assert.equal(await statusOf(client.delete_consumers_username("ann")), 200);
assert.equal(await statusOf(client.delete_upstreams_id("u")), 200);
console.log("done");
