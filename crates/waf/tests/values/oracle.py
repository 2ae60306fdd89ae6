"""Says what libmodsecurity makes of values and of requests.

oracle.py transformations NAME,NAME...  reads values in hexadecimal, one a line, and answers each
with what the transformations make of it, one after another, apart by spaces.

oracle.py requests VARIABLE,VARIABLE...  reads requests, `METHOD URI BODY NAME VALUE...` in
hexadecimal, and answers with the members of each variable in hexadecimal, apart by spaces: of each
its name, `<~>`, its value in hexadecimal and `<;>`. What is empty is `-`, in either direction.

oracle.py operators -  reads `NAME ARGUMENT VALUE` in hexadecimal; answers `31` (a one) or `-`, and
with what the operator found first. An argument of several lines is a file.
"""

import os
import sys
import tempfile

from libmodsecurity import ModSecurity, RulesSet

RULES = """
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 10000000
SecRequestBodyNoFilesLimit 10000000
SecRequestBodyJsonDepthLimit 64
SecArgumentsLimit 100000
SecRule REQUEST_HEADERS:Content-Type "@rx ^(?:application|text)/xml" \
  "id:1,phase:1,pass,nolog,t:lowercase,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" \
  "id:2,phase:1,pass,nolog,t:lowercase,ctl:requestBodyProcessor=JSON"
"""


def transformations(names):
    """A rule for each; values come in hexadecimal and leave so."""
    rules = "SecRuleEngine On\n"
    for at, name in enumerate(names):
        rules += (
            f'SecRule REQUEST_HEADERS:x "@unconditionalMatch" "id:{at + 1},phase:1,pass,log,'
            f"t:none,t:hexDecode,t:{name},t:hexEncode,msg:'%{{MATCHED_VAR}}'\"\n"
        )
    return rules


def variables(names):
    """A rule for each, which gathers the members, and one that tells them."""
    rules = RULES
    for at, name in enumerate(names):
        first = 100 + 2 * at
        rules += (
            f'SecRule {name} "@unconditionalMatch" "id:{first},phase:2,pass,nolog,t:none,'
            f"t:hexEncode,setvar:'tx.v{at}=%{{tx.v{at}}}%{{MATCHED_VAR_NAME}}<~>%{{MATCHED_VAR}}<;>'\"\n"
            f'SecRule TX:v{at} "@unconditionalMatch" "id:{first + 1},phase:2,pass,log,t:none,'
            f"t:hexEncode,msg:'%{{MATCHED_VAR}}'\"\n"
        )
    return rules


def answer_operators():
    """Asks an operator about each value; rules for the same question are loaded once."""
    engine = ModSecurity()
    loaded = {}
    said = []
    engine.set_rule_message_callback(lambda message: said.append((message.rule_id, message.data)))
    for line in sys.stdin:
        name, argument, value = (bytes.fromhex(word.replace("-", "")) for word in line.split())
        rules = loaded.get((name, argument)) or loaded.setdefault((name, argument), load(name, argument))
        said.clear()
        with engine.transaction(rules) as transaction:
            transaction.process_connection("127.0.0.1", 1, "127.0.0.1", 80)
            transaction.process_uri("/", "GET", "1.1")
            transaction.add_request_header("x", value.hex())
            transaction.process_request_headers()
        held = any(number == 3 for number, _ in said)
        found = next((data for number, data in said if number == 2), "")
        print("31" if held else "-", (held and found) or "-", flush=True)


def load(name, argument):
    """The rules that ask one operator, tell what it found, and that it held."""
    name, text = name.decode(), argument.decode("latin-1")
    if "\n" in text:
        handle, path = tempfile.mkstemp()
        os.write(handle, argument)
        os.close(handle)
        text = path
    rules = RulesSet()
    rule = (
        "SecRuleEngine On\n"
        f'SecRule REQUEST_HEADERS:x "@{name} {text}" "id:1,phase:1,pass,log,t:none,t:hexDecode,'
        'capture,setvar:tx.t=1"\n'
        'SecRule TX:0 "@unconditionalMatch" "id:2,phase:1,pass,log,t:none,t:hexEncode,'
        "logdata:'%{MATCHED_VAR}'\"\n"
        'SecRule TX:t "@streq 1" "id:3,phase:1,pass,log"\n'
    )
    if rules.load(rule) < 0:
        sys.exit(rules.get_parser_error())
    return rules


def main():
    """Loads the rules and answers line by line."""
    if sys.argv[1] == "operators":
        return answer_operators()
    names = sys.argv[2].split(",")
    is_request = sys.argv[1] == "requests"
    engine = ModSecurity()
    rules = RulesSet()
    if rules.load(variables(names) if is_request else transformations(names)) < 0:
        sys.exit(rules.get_parser_error())
    told = {}
    engine.set_rule_message_callback(lambda message: told.update({message.rule_id: message.message}))
    for line in sys.stdin:
        told.clear()
        words = [bytes.fromhex(word) if word != "-" else b"" for word in line.split()]
        method, uri, body = ("GET", "/", b"")
        headers = [(b"x", line.split()[0].encode().replace(b"-", b""))]
        if is_request:
            method, uri, body = words[0].decode(), words[1].decode("latin-1"), words[2]
            headers = list(zip(words[3::2], words[4::2]))
        with engine.transaction(rules) as transaction:
            transaction.process_connection("127.0.0.1", 1, "127.0.0.1", 80)
            transaction.process_uri(uri, method, "1.1")
            for name, value in headers:
                transaction.add_request_header(name.decode("latin-1"), value.decode("latin-1"))
            transaction.process_request_headers()
            if is_request:
                transaction.append_request_body(body)
                transaction.process_request_body()
        ids = [101 + 2 * at if is_request else at + 1 for at in range(len(names))]
        print(" ".join(told.get(number) or "-" for number in ids), flush=True)


main()
