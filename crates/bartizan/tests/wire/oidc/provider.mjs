// An OpenID provider of a test, on a free port of this machine. The first argument is the folder
// with its packages, the second the public key of the client `keyed`. It writes its address in one line, then `ok` for each line that it reads:
// `keep` signs with a new key and publishes the old one still, `drop` publishes the new one alone.

import { Console } from "node:console";
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// What the package has to say is no answer to who reads this.
globalThis.console = new Console(process.stderr, process.stderr);
const folder = pathToFileURL(`${process.argv[2]}/`);
const { Provider } = await import(new URL("oidc-provider/lib/index.js", folder));

let count = 0;
function newKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  count += 1;
  return { ...privateKey.export({ format: "jwk" }), kid: `k${count}`, use: "sig", alg: "ES256" };
}

function client(id, more) {
  return {
    client_id: id,
    client_secret: `the secret of ${id}: long enough for signatures`,
    redirect_uris: [],
    response_types: [],
    grant_types: ["client_credentials"],
    id_token_signed_response_alg: "ES256",
    ...more,
  };
}

function provider(issuer, keys) {
  return new Provider(issuer, {
    clients: [
      client("app", {}),
      client("gateway", {}),
      client("poster", { token_endpoint_auth_method: "client_secret_post" }),
      client("signer", { token_endpoint_auth_method: "client_secret_jwt" }),
      client("keyed", {
        token_endpoint_auth_method: "private_key_jwt",
        client_secret: undefined,
        jwks: { keys: [JSON.parse(process.argv[3])] },
      }),
      client("held", { tls_client_certificate_bound_access_tokens: true }),
    ],
    jwks: { keys },
    clientAuthMethods: [
      "client_secret_basic",
      "client_secret_post",
      "client_secret_jwt",
      "private_key_jwt",
    ],
    scopes: ["read", "write"],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      dPoP: { enabled: true },
      // The certificate that a proxy in front would tell of.
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => decodeURIComponent(ctx.get("x-certificate")) || undefined,
      },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: "read write",
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: resource.endsWith("/signed") ? "jwt" : "opaque",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
  });
}

let keys = [newKey()];
let serve;
const server = createServer((request, response) => serve(request, response));
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  serve = provider(issuer, keys).callback();
  process.stdout.write(`${issuer}\n`);
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      keys = line === "keep" ? [newKey(), keys[0]] : [newKey()];
      serve = provider(issuer, keys).callback();
      process.stdout.write("ok\n");
    })
    .on("close", () => process.exit(0));
});
