"""What people do with `apisix-client`, as it comes from PyPI: address, key."""

import sys

from apisix_client import ApisixClient
from apisix_client.consumer.models import Consumer
from apisix_client.plugin.models import ConsumerRestriction, KeyAuth
from apisix_client.plugin.models.authentication.key_auth import KeyAuthSettings
from apisix_client.route.models import Route
from apisix_client.upstream.models import Node, Upstream

address, key = sys.argv[1:]
client = ApisixClient(f"http://{address}/", key)
KEY = "0f8b7e6d5c4b3a2918070605040302ff"


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


node = Node(host="127.0.0.1", port=9, weight=1)
upstream = client.upstream.create_with_id_generation(Upstream(nodes=[node]))
assert upstream
same(client.upstream.create_or_update(Upstream(nodes=[node], desc="second"), "two"), "two")
same(client.upstream.get("two").value.desc, "second")
same(sorted(each.value.id for each in client.upstream.get_all()), sorted([upstream, "two"]))
same(client.upstream.count(), 2)

same(client.consumer.create_or_update(Consumer(username="jack", plugins=[KeyAuth(KEY)])), True)
same(client.consumer.create_or_update(Consumer(username="jill", desc="nobody yet")), True)
same(client.consumer.get("jill").value.desc, "nobody yet")
same(client.consumer.count(), 2)

protected = [KeyAuthSettings(), ConsumerRestriction(whitelist=["jack"], blacklist=["jill"])]
same(client.route.create_or_update(
    Route(name="orders", uri="/orders", upstream_id=upstream, plugins=protected), "orders"), "orders")
# A route that nobody must prove anything for is not stored, and the client says so.
same(client.route.create_or_update(Route(uri="/open", upstream_id=upstream), "open"), None)
same(client.route.get("open"), None)
same(client.route.count(), 1)
# What is in use is not deleted; the client looks for `deleted` in whatever it is answered.
try:
    client.upstream.delete(upstream)
    raise AssertionError("an upstream in use was deleted")
except KeyError:
    pass
same(client.route.delete("orders"), True)
same(client.upstream.delete(upstream), True)
same(client.upstream.delete("two"), True)
same(client.consumer.delete("jill"), 1)
same(client.consumer.delete("jack"), 1)
same((client.route.count(), client.upstream.count(), client.consumer.count()), (0, 0, 0))
print("done")
