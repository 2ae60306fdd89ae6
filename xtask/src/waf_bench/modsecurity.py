"""Times libmodsecurity: a task as JSON on standard input, nanoseconds a request on standard output.

What the calls from Python themselves cost is measured with the engine off, and taken off.
"""

import base64
import json
import statistics
import sys
import time

task = json.load(sys.stdin)
sys.path.insert(0, task["wheel"])

from libmodsecurity import ModSecurity, RulesSet, Transaction  # noqa: E402

engine = ModSecurity()
engine.set_log_callback(lambda line: None)


def load(text):
    rules = RulesSet()
    if rules.load(text) < 0:
        sys.exit(rules.get_parser_error())
    return rules


def judge(rules, request):
    began = time.perf_counter_ns()
    exchange = Transaction(engine, rules, None)
    exchange.process_connection("127.0.0.1", 40000, "127.0.0.1", 80)
    exchange.process_uri(request["target"], request["method"], "1.1")
    for name, value in request["fields"]:
        exchange.add_request_header(name, value)
    exchange.process_request_headers()
    if request["body"]:
        exchange.append_request_body(request["body"])
    exchange.process_request_body()
    exchange.process_logging()
    del exchange
    return time.perf_counter_ns() - began


def median(rules, request, seconds):
    judge(rules, request)
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        times.append(judge(rules, request))
    return statistics.median(times)


for request in task["requests"]:
    request["body"] = base64.b64decode(request["body"])
off = load("SecRuleEngine Off\n")
began = time.perf_counter_ns()
on = load(task["rules"])
loaded = time.perf_counter_ns() - began
costs = [
    max(median(on, request, task["seconds"]) - median(off, request, task["seconds"] / 4), 1)
    for request in task["requests"]
]
json.dump({"loaded": loaded, "costs": costs}, sys.stdout)
