"""A server of gRPC as it comes from PyPI: certificate and key, or nothing for one in clear.

Prints its port and serves until its standard input ends.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc


def unary(request, context):
    context.set_trailing_metadata((("x-sum", str(sum(request))),))
    metadata = dict(context.invocation_metadata())
    return request + b" " + metadata.get("x-user", "").encode()


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()


def talk(requests, context):
    for request in requests:
        yield request.upper()


def gather(requests, context):
    return b",".join(requests)


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no – not now")


def wait(request, context):
    time.sleep(3)
    return b"late"


server = grpc.server(ThreadPoolExecutor(max_workers=8))
handlers = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Gather": grpc.stream_unary_rpc_method_handler(gather),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Echo", handlers)])
if len(sys.argv) > 1:
    chain, key = (open(path, "rb").read() for path in sys.argv[1:])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
else:
    port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(port, flush=True)
sys.stdin.read()
server.stop(None)
