"""Writes verdicts.txt: what libmodsecurity says of operators, arguments and values.

Usage: PYTHONPATH=FOLDER python3 record.py > verdicts.txt, where FOLDER has the wheel `libmodsecurity`.
Each line: operator, argument and value in hexadecimal, 1 if it holds, TX.0 in hexadecimal.
"""

import itertools
import random

from libmodsecurity import ModSecurity, RulesSet

PIECES = [b"a", b"b", b"foo", b"FOO", b"-", b"_", b"<", b"&", b"\n", b"\t", b" ", b"1", b"41", b"|", b"%", b"%2", b"/", b"."]
NUMBERS = [b"", b"0", b"5", b"-5", b"+5", b" 5", b"5a", b"a5", b"05", b"5.9", b"0x5", b"2147483647", b"--5", b"+ 5"]
DIGITS = [b"4111111111111111", b"4111111111111112", b"x 4111111111111111 y", b"1111111111111112 4111111111111111",
          b"52998224725", b"52998224726", b"11111111111", b"12345678909", b"529.982.247-25", b"078051120",
          b"123456789", b"012345678", b"111111111", b"772051120", b"666051120", b"733051120", b"740051120",
          b"1237010180", b"1238010180", b"0000000000", b"1111111111", b"79927398713", b"0", b""]
ADDRESSES = [b"192.0.2.7", b"192.0.3.7", b"2001:db8::1", b"2001:db9::1", b"10.0.0.1", b"10.255.0.1", b"x", b"", b"10.0.0.1 ", b"::1"]
UTF8 = [b"\xc0\xaf", b"\xe2\x82\xac", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"\x80",
        b"\xef\xbf\xbe", b"\xf0\x80\x80\x80", b"abc", b"\xc2", b"\xf4\x8f\xbf\xbf", b"\xff", b"a\xc3\xa9b"]
ATTACKS = [b"1' or 1=1 --", b"1 union select 1,2", b"abc", b"", b"' or ''='", b"1;drop table x", b"it's", b"select a from b",
           b"<script>alert(1)</script>", b"<a href=javascript:x>", b"\" onload=x", b"x=y", b"a<b", b"<b>", b"1 or 1=1",
           b"admin'--", b"1/**/or/**/1", b"O'Neill and sons", b"<svg/onload=x>", b"' onmouseover='x", b"a=b&c=d", b"sleep(5)"]
PATTERNS = ["^b$", "a.c", "b$", "^(a)(b)?(f)", "\\Bfoo|[[:alpha:]]{3}|\\h", "a\\Z", "a\\z", "\\Aa", "a\\v", "\\<", "[a&&b]",
            "[a-c--]", "a{", "\\R", "\\x4", "\\012", "\\Qa.b\\E", "(?#x)a", "[]a]", "[^]a]", "[[]", "[\\s-]", "[+--]f",
            "(?i)foo", "(?-i)foo", "\\bfoo\\b", "(?:a|b)+?-", "\\/", "[^\\n]$", "a{1,2}", "(?<n>f)o", "\\W\\w"]


def values():
    chosen = random.Random(7)
    for first, second in itertools.product(PIECES, PIECES):
        yield first + second
    for _ in range(120):
        yield b"".join(chosen.choices(PIECES, k=chosen.randint(3, 7)))


def questions():
    mixed = sorted(set(values()))
    few = mixed[::6]
    for pattern in PATTERNS:
        yield "rx", pattern, few
    for text in ["foo", "a", "oo", "a-", "foo a"]:
        for name in ["contains", "strmatch", "containsWord", "streq", "beginsWith", "endsWith", "within"]:
            yield name, text, few + [text.encode(), b""]
    yield "within", "foo,FOO,a b", few + [b""]
    for text in ["foo 41", "a|62| x", "a|4|b", "a||b", "|41 42|", "|4142| foo", "|zz|"]:
        yield "pm", text, few + [b"ab", b"A", b"|zz|", b"42|"]
    for name in ["eq", "ge", "gt", "le", "lt"]:
        for number in ["5", "0", "-5", "abc"]:
            yield name, number, NUMBERS
    yield "ipMatch", "192.0.2.0/24,2001:db8::/32,10.0.0.1", ADDRESSES
    yield "ipMatch", "10.0.0.5/8", ADDRESSES
    for ranges in ["1-5,10", "32-126", "0-255", "9,10,13,32-126,128-255"]:
        yield "validateByteRange", ranges, few + UTF8
    for name in ["validateUrlEncoding", "validateUtf8Encoding"]:
        yield name, "", few + UTF8
    for name in ["verifyCC", "verifyCPF", "verifySSN", "verifySVNR"]:
        for pattern in ["\\d{9,16}", "[\\d.-]+"]:
            yield name, pattern, DIGITS
    for name in ["detectSQLi", "detectXSS", "noMatch", "unconditionalMatch"]:
        yield name, "", ATTACKS + few


def main():
    engine = ModSecurity()
    said = []
    engine.set_rule_message_callback(lambda message: said.append(message.data))
    for name, argument, inputs in questions():
        rules = RulesSet()
        assert rules.load(
            "SecRuleEngine On\n"
            f'SecRule REQUEST_HEADERS:x "@{name} {argument}" "id:1,phase:1,pass,log,t:none,t:hexDecode,capture,setvar:tx.t=1"\n'
            'SecRule TX:0 "@unconditionalMatch" "id:2,phase:1,pass,log,t:none,t:hexEncode,logdata:\'%{MATCHED_VAR}\'"\n'
            'SecRule TX:t "@streq 1" "id:3,phase:1,pass,log,logdata:\'yes\'"\n'
        ) >= 0, (name, argument)
        for value in inputs:
            said.clear()
            with engine.transaction(rules) as exchange:
                exchange.process_connection("127.0.0.1", 1, "127.0.0.1", 80)
                exchange.process_uri("/", "GET", "1.1")
                exchange.add_request_header("x", value.hex())
                exchange.process_request_headers()
            held = "yes" in said
            found = next((text for text in said if text and text != "yes"), "")
            print(name, argument.encode().hex() or "-", value.hex() or "-", int(held), found or "-")


main()
