//! Malformed rules: each fault names its place, shows it, and says what to write instead.

use bartizan_waf::{Memory, RuleFault, RuleSet};

fn faults(text: &str) -> Vec<RuleFault> {
    let files = Memory::default().with("words.data", "word\n").with("bad.data", "300.1.1.1\n");
    RuleSet::parse("t.conf", text, &files).err().unwrap_or_default()
}

/// The text, with `→` before the byte that the fault points at, must give one fault with such a
/// problem and such a help (empty: there need be none).
fn refused(rows: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (marked, problem, help) in rows {
        let at = marked.find('→').unwrap();
        let text = marked.replacen('→', "", 1);
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
        let list = faults(&text);
        let is_right = matches!(&*list, [fault] if fault.problem.contains(problem)
            && fault.help.as_deref().unwrap_or_default().contains(help)
            && *fault.place.file == *"t.conf"
            && (fault.place.line as usize, fault.place.column as usize) == (line, column)
            && text.lines().nth(line - 1) == Some(&*fault.excerpt));
        if !is_right {
            wrong.push(format!(
                "{marked}\n  wanted {line}:{column} {problem} | {help}\n  {list:#?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn unknown_names_are_refused_with_the_one_that_was_meant() {
    refused(
        &[
            (
                "→SecRul ARGS \"@rx a\" \"id:1\"",
                "unknown directive `SecRul`",
                "did you mean `SecRule`?",
            ),
            ("→SecRuleEngin On", "unknown directive", "did you mean `SecRuleEngine`?"),
            (
                "→<IfModule security2>",
                "unknown directive",
                "sections of a web server's configuration",
            ),
            (
                "SecRule →ARG \"@rx a\" \"id:1,deny\"",
                "unknown variable `ARG`",
                "did you mean `ARGS`?",
            ),
            (
                "SecRule →REQUEST_HEADER:x \"@rx a\" \"id:1,deny\"",
                "unknown variable",
                "`REQUEST_HEADERS`",
            ),
            ("SecRule →ARGS,TX \"@rx a\" \"id:1,deny\"", "unknown variable", "separated by `|`"),
            ("SecRule →TX.a \"@rx a\" \"id:1,deny\"", "unknown variable", "written `TX:a`"),
            ("SecRule ARGS \"→@regex a\" \"id:1,deny\"", "unknown operator `@regex`", "`@rx"),
            (
                "SecRule ARGS \"→@contain a\" \"id:1,deny\"",
                "unknown operator",
                "did you mean `@contains`?",
            ),
            ("SecAction \"id:1,→dney\"", "unknown action `dney`", "did you mean `deny`?"),
            ("SecAction \"id:1,→deny status:403\"", "unknown action", "separated by commas"),
            ("SecAction \"id:1,t:→urlDecodUni,pass\"", "unknown transformation", "`urlDecodeUni`"),
            (
                "SecAction \"id:1,severity:→CRITICL,pass\"",
                "unknown severity",
                "did you mean `CRITICAL`?",
            ),
            ("SecAction \"id:1,pass,ctl:→ruleRemoveByID=1\"", "", ""),
            (
                "SecAction \"id:1,pass,ctl:→ruleEngin=Off\"",
                "unknown option",
                "did you mean `ruleEngine`?",
            ),
            ("SecAction \"id:1,pass,msg:'%{→MATCHED_VA}'\"", "unknown macro", "`MATCHED_VAR`"),
            ("SecAction \"id:1,pass,msg:'%{→ENV.a}'\"", "`ENV` is not supported", "use `TX`"),
            ("SecRuleEngine →Onn", "expected `On`, `DetectionOnly` or `Off`", "did you mean `On`?"),
        ]
        .into_iter()
        // Names are those of any case.
        .filter(|(text, ..)| !text.contains("ruleRemoveByID"))
        .collect::<Vec<_>>(),
    );
}

#[test]
fn what_is_deliberately_unsupported_says_what_to_do_instead() {
    refused(&[
        ("→SecRuleScript a.lua", "`SecRuleScript` is not supported", "no code is run"),
        ("→SecRemoteRules key https://x", "not supported", "`Include` the file"),
        ("→SecGuardianLog |x", "not supported", "send audit events to a sink"),
        ("→SecHashEngine On", "not supported", "signed requests"),
        ("→SecXmlExternalEntity On", "not supported", "no entity is ever loaded"),
        ("→SecStreamInBodyInspection On", "not supported", "`REQUEST_BODY`"),
        ("SecAction \"id:1,→exec:/bin/x,pass\"", "`exec` is not supported", "send events"),
        ("SecAction \"id:1,→proxy:http://x\"", "`proxy` is not supported", "a route"),
        ("SecAction \"id:1,pass,→pause:10\"", "`pause` is not supported", "a limit"),
        ("SecAction \"id:1,pass,→setenv:a=b\"", "`setenv` is not supported", "setvar"),
        ("SecAction \"id:1,pass,→append:x\"", "not supported", "`response-rewrite`"),
        ("SecAction \"id:1,pass,→xmlns:a=b\"", "not supported", "XML:/*"),
        ("SecAction \"id:1,pass,→deprecatevar:ip.a=1/2\"", "not supported", "`expirevar`"),
        (
            "SecRule ARGS \"→@inspectFile x\" \"id:1,deny\"",
            "`@inspectFile` is not supported: it runs",
            "take",
        ),
        ("SecRule ARGS \"→@fuzzyHash x 1\" \"id:1,deny\"", "`@fuzzyHash` is not supported", "take"),
        ("SecRule ARGS \"→@gsbLookup x\" \"id:1,deny\"", "`@gsbLookup` is not supported", "take"),
        ("SecRule ARGS \"→@validateSchema x\" \"id:1,deny\"", "not supported", "take"),
        ("SecRule →ENV:a \"@rx a\" \"id:1,deny\"", "`ENV` is not supported", "`TX`"),
        (
            "SecRule ARGS|→FULL_REQUEST \"@rx a\" \"id:1,deny\"",
            "`FULL_REQUEST` is not supported",
            "`REQUEST_BODY`",
        ),
        ("SecAction \"id:1,pass,ctl:→hashEngine=On\"", "not supported", "not signed"),
        ("SecAction \"id:1,pass,ctl:→debugLogLevel=9\"", "not supported", "no debug log"),
        ("SecRule XML:→/a/b \"@rx a\" \"id:1,deny\"", "the path `/a/b` is not supported", "XML:/*"),
    ]);
}

#[test]
fn rules_that_lack_or_repeat_something_are_refused() {
    refused(
        &[
            ("→SecRule ARGS \"@rx a\" \"phase:2,deny\"", "the rule has no `id`", "give each rule"),
            ("→SecAction \"pass\"", "the rule has no `id`", "give each rule"),
            ("SecRule ARGS→", "needs 2 arguments", "write `SecRule TARGETS OPERATOR ACTIONS`"),
            ("SecRuleEngine→", "needs an argument", "On|DetectionOnly|Off"),
            ("SecRuleEngine On →Off", "one argument too many", "double quotes"),
            ("SecRuleEngine On →# why", "one argument too many", "a line of its own"),
            ("SecAction \"id:→0,pass\"", "`0` is not a number from 1 to 4294967295", ""),
            ("SecAction \"id:→x,pass\"", "is not a number", ""),
            ("SecAction \"id:→4294967296,pass\"", "is not a number", ""),
            ("SecAction \"id:1,→id:2,pass\"", "`id` stands here twice", "keep one of them"),
            ("SecAction \"id:1,deny,→pass\"", "`pass` contradicts `deny`", "keep one of them"),
            ("SecAction \"id:1,pass,phase:→6\"", "", ""),
            ("SecAction \"id:1,pass,status:→99\"", "not a number from 100 to 599", ""),
            ("SecAction \"id:1,pass,→msg\"", "`msg` needs a value", "write `msg:…`"),
            ("SecAction \"id:1,pass,log:→yes\"", "`log` takes no value", ""),
            ("SecAction \"id:1,allow:→all\"", "expected `phase` or `request`", ""),
            (
                "SecRule →!ARGS:a \"@rx a\" \"id:1,deny\"",
                "the rule looks at nothing",
                "ARGS|!ARGS:note",
            ),
            (
                "SecRule REQUEST_URI:→a \"@rx a\" \"id:1,deny\"",
                "has no members",
                "write `REQUEST_URI`",
            ),
            ("SecRule ARGS: → \"@rx a\" \"id:1,deny\"", "", ""),
            ("SecRule ARGS:→a,b \"@rx a\" \"id:1,deny\"", "", ""),
            ("SecRule ARGS \"→@eq\" \"id:1,deny\"", "`@eq` needs an argument", ""),
            ("SecRule ARGS \"→@detectSQLi x\" \"id:1,deny\"", "takes no argument", ""),
            ("SecAction \"id:1,pass,setvar:→a=1\"", "has no collection", "`tx.name`"),
            ("SecAction \"id:1,pass,setvar:→args.a=1\"", "no such collection", "`TX`"),
            ("SecAction \"id:1,pass,setvar:tx.→=1\"", "name is missing", ""),
            (
                "SecAction \"id:1,pass,initcol:→ip\"",
                "the `=` is missing",
                "initcol:ip=%{REMOTE_ADDR}",
            ),
            ("SecAction \"id:1,pass,initcol:→tx=a\"", "no such collection", "`IP`"),
            ("SecAction \"id:1,pass,expirevar:→ip.a=soon\"", "the seconds are not a number", ""),
            ("SecAction \"id:1,pass,ctl:→ruleEngine\"", "the `=` is missing", "ctl:ruleEngine=Off"),
            (
                "SecAction \"id:1,pass,ctl:ruleRemoveTargetById=→1\"",
                "the target is missing",
                "942100;ARGS:note",
            ),
            (
                "SecAction \"id:1,pass,ctl:ruleRemoveById=→9-1\"",
                "ends before it begins",
                "write `1-9`",
            ),
            (
                "→SecDefaultAction \"deny\"",
                "have no `phase`",
                "one `SecDefaultAction` for each phase",
            ),
            ("→SecDefaultAction \"phase:1,log\"", "do not say what happens", "add `pass`"),
            ("SecDefaultAction \"phase:1,deny,→id:1\"", "cannot be a default", ""),
            ("SecResponseBodyMimeType →html", "`html` is no media type", "text/html"),
            ("SecArgumentSeparator →&&", "one character", ""),
            ("SecRequestBodyLimit →1MB", "is not a number", ""),
            ("SecAuditLogParts →AQZ", "", ""),
        ]
        .into_iter()
        .filter(|(_, problem, help)| !problem.is_empty() || !help.is_empty())
        .collect::<Vec<_>>(),
    );
}

#[test]
fn chains_that_hang_in_the_air_are_refused() {
    refused(&[
        ("SecAction \"id:1,pass,→chain\"", "no rule follows", "take `chain` out"),
        ("SecAction \"id:1,pass,→chain\"\nSecMarker A", "no rule follows", "take `chain` out"),
        (
            "SecAction \"id:1,pass,chain\"\nSecAction \"→id:2\"",
            "`id` can only stand in the first rule",
            "",
        ),
        (
            "SecAction \"id:1,pass,chain\"\nSecRule ARGS \"@rx a\" \"→deny\"",
            "`deny` can only stand in the first rule",
            "",
        ),
        (
            "SecAction \"id:1,pass,chain\"\nSecRule ARGS \"@rx a\" \"→skipAfter:A\"",
            "can only stand in the first rule",
            "",
        ),
    ]);
}

#[test]
fn quotes_and_continuations_that_do_not_end_are_refused() {
    refused(&[
        ("SecRule ARGS →\"@rx a", "the \" is not closed", "with `\\`"),
        ("SecRule ARGS →\"@rx a\\\"", "the \" is not closed", "with `\\`"),
        ("SecRule ARGS \"@rx a\"→\"id:1\"", "text right behind the closing \"", "\\\""),
        ("SecAction \"id:1,pass,msg:→'a\"", "the ' is not closed", ""),
        ("SecAction \"id:1,pass,msg:'a'→b\"", "text behind the closing '", "`\\'`"),
        ("SecRule ARGS:→/a \"@rx a\" \"id:1,deny\"", "the pattern is not closed", "`/…/`"),
        ("SecRule ARGS:→// \"@rx a\" \"id:1,deny\"", "the pattern is empty", ""),
        ("SecRule ARGS \\\n  \"@rx a\" \\\n  \"id:1,→dney\"", "unknown action", "`deny`"),
        ("SecRule ARGS \\\n  \"→@rxx a\" \\\n  \"id:1,deny\"", "unknown operator", "`@rx"),
    ]);
}

#[test]
fn what_only_the_compiler_sees_is_shown_as_well() {
    refused(&[
        (
            "SecAction \"id:7,pass\"\n  →SecAction \"id:7,pass\"",
            "the id 7 is used twice; first at t.conf:1:1",
            "an id of its own",
        ),
        (
            "  →SecAction \"id:1,pass,skipAfter:END\"",
            "nothing below is marked `END`",
            "`SecMarker`",
        ),
        (
            "SecMarker END\n→SecAction \"id:1,pass,skipAfter:END\"",
            "nothing below is marked `END`",
            "below the rule",
        ),
        ("SecRule ARGS \"→@rx (\" \"id:1,deny\"", "the pattern cannot be read", "stand for itself"),
        (
            "SecRule ARGS \"→@rx (?:a{1000}){1000}\" \"id:1,deny\"",
            "more than 10 MiB",
            "repeat less",
        ),
        (
            "SecRule ARGS \\\n  \"→@rx [b-a]\" \\\n  \"id:1,deny\"",
            "upside down",
            "the smaller one first",
        ),
        (
            "SecRule ARGS \"→@pmFromFile gone.data\" \"id:1,deny\"",
            "cannot read `gone.data`",
            "beside the file",
        ),
        (
            "SecRule ARGS \"→@ipMatchFromFile gone\" \"id:1,deny\"",
            "cannot read `gone`",
            "beside the file",
        ),
        (
            "SecRule ARGS \"→@ipMatchFromFile bad.data\" \"id:1,deny\"",
            "`300.1.1.1` is no address",
            "192.0.2.1",
        ),
        (
            "SecRule ARGS \"→@ipMatch 1.2.3.4/33\" \"id:1,deny\"",
            "is no address or network",
            "192.0.2.1",
        ),
        (
            "SecRule ARGS \"→@validateByteRange 9-300\" \"id:1,deny\"",
            "`300` is no byte",
            "0 to 255",
        ),
        (
            "SecRule ARGS \"→@validateByteRange 9-1\" \"id:1,deny\"",
            "upside down",
            "the smaller one first",
        ),
        ("SecRule ARGS \"→@pm %{TX.a}\" \"id:1,deny\"", "takes no macros", "the text itself"),
        ("SecRule ARGS \"→@verifyCC %{TX.a}\" \"id:1,deny\"", "takes no macros", "the text itself"),
        ("SecRule ARGS:/→(/ \"@rx a\" \"id:1,deny\"", "the pattern `(` is no pattern", "`\\`"),
        ("SecRule ARGS:/→a{9999}{9999}/ \"@rx a\" \"id:1,deny\"", "is too large", "`\\`"),
        ("SecRule ARGS|!ARGS:'/→(?=a)/' \"@rx a\" \"id:1,deny\"", "is no pattern", "`\\`"),
        ("SecAction \"id:1,pass,ctl:ruleRemoveByTag=→(\"", "is no pattern", "`\\`"),
        ("SecAction \"id:1,pass,ctl:ruleRemoveTargetByMsg=→(;ARGS:a\"", "is no pattern", "`\\`"),
        ("SecAction \"id:1,pass\"\n\nSecRuleRemoveByTag →(", "is no pattern", "`\\`"),
        ("SecAction \"id:1,pass\"\nSecRuleUpdateTargetByMsg →( !ARGS:a", "is no pattern", "`\\`"),
        ("SecAction \"id:1,pass\"\nSecRuleUpdateTargetById 1 !ARGS:/→(/", "is no pattern", "`\\`"),
        (
            "SecAction \"id:1,pass\"\n\n  →SecRuleUpdateActionById 9 deny",
            "there is no rule 9",
            "name a rule",
        ),
        (
            "SecAction \"id:1,pass\"\n→SecRuleUpdateActionById 1:1 t:none",
            "rule 1 has no rule 1 chained",
            "name a rule",
        ),
        ("→SecUnicodeMapFile gone.map 20127", "cannot read `gone.map`", "beside the file"),
        (
            "→SecUnicodeMapFile words.data 20127",
            "`words.data` has no code page 20127",
            "plain ASCII",
        ),
    ]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let list = faults(
        "SecRul ARGS\nSecRule ARGZ \"@rx a\" \"id:1,dney\"\nSecAction \"id:1,pass\"\nSecRuleEngine Maybe\n",
    );
    let places: Vec<(u32, u32)> =
        list.iter().map(|fault| (fault.place.line, fault.place.column)).collect();
    assert_eq!(places, [(1, 1), (2, 9), (2, 28), (4, 15)]);
    let many = "SecAction \"id:1,pass,zzz\"\n".repeat(250);
    let list = faults(&many);
    assert_eq!(list.len(), 100);
    assert!(list[99].problem.ends_with("(and 150 faults more)"), "{}", list[99].problem);
}

#[test]
fn long_lines_are_shown_around_the_fault() {
    let pattern = "a".repeat(500);
    let list = faults(&format!("SecRule ARGS \"@rx {pattern}\" \"id:1,dney,msg:'{pattern}'\""));
    let [fault] = &*list else { panic!("{list:?}") };
    assert!(fault.excerpt.starts_with('…') && fault.excerpt.ends_with('…'), "{}", fault.excerpt);
    assert!(fault.excerpt.contains("dney") && fault.excerpt.len() < 140, "{}", fault.excerpt);
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    let files = Memory::default().with("a.conf", b"SecRuleEngine On\nSecRule \xff\n".to_vec());
    let list = RuleSet::load(&["a.conf"], &files).unwrap_err();
    let [fault] = &*list else { panic!("{list:?}") };
    assert_eq!((fault.place.line, fault.place.column), (2, 9));
    assert!(fault.problem.contains("not UTF-8") && fault.help.is_some());
}
