"""A client of gRPC as it comes from PyPI: address of the gateway, root certificate, key."""

import queue
import sys

import grpc

address, root, key = sys.argv[1:]
credentials = grpc.ssl_channel_credentials(open(root, "rb").read())
channel = grpc.secure_channel(
    address, credentials, (("grpc.ssl_target_name_override", "api.test"),)
)
KNOWN = (("apikey", key),)


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def refused(code, message, call):
    try:
        call()
    except grpc.RpcError as error:
        same((error.code(), error.details()), (code, message))
        return
    raise AssertionError("it was not refused")


unary = channel.unary_unary("/test.Echo/Unary")
answer, call = unary.with_call(b"hello", metadata=KNOWN)
same(answer, b"hello alice")
same(dict(call.trailing_metadata())["x-sum"], "532")
big = bytes(700_000)
same(unary(big, metadata=KNOWN), big + b" alice")

count = channel.unary_stream("/test.Echo/Count")
same(list(count(b"1000", metadata=KNOWN)), [str(number).encode() for number in range(1000)])
same(channel.stream_unary("/test.Echo/Gather")(iter([b"a", b"b", b"c"]), metadata=KNOWN), b"a,b,c")

# Each word is sent only when the answer to the one before has come.
words = queue.Queue()
answers = channel.stream_stream("/test.Echo/Talk")(iter(words.get, None), metadata=KNOWN)
for word in (b"one", b"two", b"three"):
    words.put(word)
    same(next(answers), word.upper())
words.put(None)
same(list(answers), [])
same(answers.code(), grpc.StatusCode.OK)

fail = channel.unary_unary("/test.Echo/Fail")
refused(
    grpc.StatusCode.FAILED_PRECONDITION, "no – not now", lambda: fail(b"", metadata=KNOWN)
)
wait = channel.unary_unary("/test.Echo/Wait")
try:
    wait(b"", metadata=KNOWN, timeout=0.5)
    raise AssertionError("it was waited for")
except grpc.RpcError as error:
    same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

# What the gateway itself refuses.
code = grpc.StatusCode
refused(code.UNAUTHENTICATED, "A credential is required.", lambda: unary(b""))
refused(
    code.UNAUTHENTICATED,
    "The credential is not valid.",
    lambda: unary(b"", metadata=(("apikey", "another"),)),
)
other = channel.unary_unary("/test.Other/Unary")
refused(code.UNIMPLEMENTED, "No route matches.", lambda: other(b"", metadata=KNOWN))
broken = channel.unary_unary("/test.Broken/Unary")
refused(code.UNAVAILABLE, "The upstream could not be reached.", lambda: broken(b"", metadata=KNOWN))
refused(
    code.RESOURCE_EXHAUSTED,
    "The request body is too large.",
    lambda: unary(bytes(1_100_000), metadata=KNOWN),
)
print("done")
