"""What people do with `apisix-python-client`, as it comes from PyPI: address, key."""

import sys

from apisix_client import ApisixClient

address, key = sys.argv[1:]
client = ApisixClient(f"http://{address}/apisix/admin", key)
KEY = "1f8b7e6d5c4b3a2918070605040302ff"


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def refused(call, *arguments):
    try:
        call(*arguments)
    except ConnectionError as problem:
        return str(problem)
    raise AssertionError("it was not refused")


made = client.create_upstream({"nodes": {"127.0.0.1:9": 1}, "type": "roundrobin"})
upstream = made["value"]["id"]
same(client.get_upstream(upstream)["value"]["nodes"], {"127.0.0.1:9": 1})
changed = client.update_upstream(upstream, {"nodes": {"127.0.0.1:9": 2}, "type": "roundrobin"})
same(changed["value"]["nodes"], {"127.0.0.1:9": 2})

# Its `create_consumer` asks with POST, which is not a call for consumers there either.
assert "405" in refused(client.create_consumer, {"username": "rose"})
consumer = {"username": "rose", "plugins": {"key-auth": {"key": KEY}}}
client._make_request("PUT", "/consumers", consumer)
same(client.get_consumer("rose")["value"]["username"], "rose")

protected = {"key-auth": {}, "consumer-restriction": {"whitelist": ["rose"]}}
route = {"uri": "/b", "upstream_id": upstream, "plugins": protected}
made = client.create_route(route)["value"]["id"]
same(client.get_route(made)["value"]["uri"], "/b")
same(client.update_route(made, {**route, "uri": "/c"})["value"]["uri"], "/c")
assert "400" in refused(client.create_route, {"uri": "/open", "upstream_id": upstream})
# It reads lists in the form of the second version of the API, which the third does not have.
same(client.list_routes(), [])

assert "400" in refused(client.delete_upstream, upstream)
same(client.delete_route(made)["deleted"], "1")
same(client.delete_upstream(upstream)["deleted"], "1")
same(client.delete_consumer("rose")["deleted"], "1")
assert "404" in refused(client.get_route, made)
print("done")
