"""Times libmodsecurity: a task as JSON on standard input, nanoseconds a request on standard output.

Drives the library's own C interface, so that no binding stands between. What is counted is processor
time of this thread; what the calls from Python and an empty transaction cost is measured with the
engine off, and taken off.
"""

import base64
import ctypes
import json
import statistics
import sys
import time
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p

task = json.load(sys.stdin)
library = ctypes.CDLL(task["library"])
LOG = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
SIGNATURES = {
    "msc_init": (c_void_p, []),
    "msc_set_log_cb": (None, [c_void_p, LOG]),
    "msc_who_am_i": (c_char_p, [c_void_p]),
    "msc_create_rules_set": (c_void_p, []),
    "msc_rules_add": (c_int, [c_void_p, c_char_p, POINTER(c_char_p)]),
    "msc_new_transaction": (c_void_p, [c_void_p, c_void_p, c_void_p]),
    "msc_process_connection": (c_int, [c_void_p, c_char_p, c_int, c_char_p, c_int]),
    "msc_process_uri": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p]),
    "msc_add_n_request_header": (c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t]),
    "msc_process_request_headers": (c_int, [c_void_p]),
    "msc_append_request_body": (c_int, [c_void_p, c_char_p, c_size_t]),
    "msc_process_request_body": (c_int, [c_void_p]),
    "msc_process_logging": (c_int, [c_void_p]),
    "msc_transaction_cleanup": (None, [c_void_p]),
}
for name, (result, arguments) in SIGNATURES.items():
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments

engine = library.msc_init()
no_log = LOG(lambda data, line: None)
library.msc_set_log_cb(engine, no_log)


def load(text):
    rules, fault = library.msc_create_rules_set(), c_char_p()
    if library.msc_rules_add(rules, text.encode(), byref(fault)) < 0:
        sys.exit((fault.value or b"").decode())
    return rules


def judge(rules, request):
    began = time.thread_time_ns()
    exchange = library.msc_new_transaction(engine, rules, None)
    library.msc_process_connection(exchange, b"127.0.0.1", 40000, b"127.0.0.1", 80)
    library.msc_process_uri(exchange, request["target"], request["method"], b"1.1")
    for name, value in request["fields"]:
        library.msc_add_n_request_header(exchange, name, len(name), value, len(value))
    library.msc_process_request_headers(exchange)
    if request["body"]:
        library.msc_append_request_body(exchange, request["body"], len(request["body"]))
    library.msc_process_request_body(exchange)
    library.msc_process_logging(exchange)
    library.msc_transaction_cleanup(exchange)
    return time.thread_time_ns() - began


def median(rules, request, seconds):
    judge(rules, request)
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        times.append(judge(rules, request))
    return statistics.median(times)


for request in task["requests"]:
    request["method"], request["target"] = request["method"].encode(), request["target"].encode()
    request["fields"] = [(name.encode(), value.encode()) for name, value in request["fields"]]
    request["body"] = base64.b64decode(request["body"])
off = load("SecRuleEngine Off\n")
began = time.thread_time_ns()
on = load(task["rules"])
loaded = time.thread_time_ns() - began
costs = [
    max(median(on, request, task["seconds"]) - median(off, request, task["seconds"] / 4), 1)
    for request in task["requests"]
]
version = library.msc_who_am_i(engine).decode()
json.dump({"loaded": loaded, "costs": costs, "version": version}, sys.stdout)
