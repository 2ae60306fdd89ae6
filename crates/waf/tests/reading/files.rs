//! Files: includes, globs, cycles, data, and limits.

use bartizan_waf::{FileFault, Files, Folder, Memory, RuleSet};

fn ids(name: &str, files: &dyn Files) -> Vec<u32> {
    match RuleSet::load(&[name], files) {
        Ok(rules) => rules.ids().collect(),
        Err(faults) => panic!("{faults:?}"),
    }
}

fn problem(name: &str, files: &dyn Files) -> String {
    let faults = RuleSet::load(&[name], files).unwrap_err();
    let [fault] = &*faults else { panic!("{faults:?}") };
    fault.to_string()
}

fn action(id: u32) -> String {
    format!("SecAction \"id:{id},phase:1,pass\"\n")
}

#[test]
fn files_are_read_where_they_are_included() {
    let files = Memory::default()
        .with("main.conf", format!("{}Include part.conf\n{}", action(1), action(3)))
        .with("part.conf", action(2));
    assert_eq!(ids("main.conf", &files), [1, 2, 3]);
}

#[test]
fn signs_stand_for_names_in_their_order() {
    let files = Memory::default()
        .with("main.conf", "Include \"r-*.conf\"\nInclude x-?.conf\n")
        .with("r-2.conf", action(2))
        .with("r-10.conf", action(10))
        .with("r-1.conf.example", action(1))
        .with("x-a.conf", action(20))
        .with("x-bb.conf", action(30));
    assert_eq!(ids("main.conf", &files), [10, 2, 20]);
}

#[test]
fn files_that_are_not_there_are_refused_unless_they_are_optional() {
    let files = Memory::default().with("main.conf", "\nInclude gone.conf");
    assert!(problem("main.conf", &files).starts_with("main.conf:2:9: cannot read `gone.conf`"));
    let files = Memory::default().with("main.conf", "Include gone-*.conf");
    assert!(problem("main.conf", &files).contains("no file fits `gone-*.conf`"));
    assert!(problem("none.conf", &files).contains("cannot read `none.conf`"));
    let optional = format!("IncludeOptional gone.conf\nIncludeOptional g-*.conf\n{}", action(1));
    assert_eq!(ids("main.conf", &Memory::default().with("main.conf", optional)), [1]);
    let files = Memory::default().with("main.conf", "Include */a.conf");
    assert!(problem("main.conf", &files).contains("in the name of a folder"));
}

#[test]
fn files_that_include_themselves_are_refused() {
    let files = Memory::default().with("a.conf", "Include a.conf\n");
    assert!(problem("a.conf", &files).contains("`a.conf` includes itself"));
    let files = Memory::default()
        .with("a.conf", "Include b.conf")
        .with("b.conf", format!("{}Include ./x/../a.conf", action(1)))
        .with("./x/../a.conf", "");
    assert!(problem("a.conf", &files).starts_with("b.conf:2:9: `a.conf` includes itself"));
    // Twice is no cycle, though its ids then are.
    let twice = Memory::default()
        .with("a.conf", "Include b.conf\nInclude b.conf")
        .with("b.conf", "SecRuleEngine On");
    assert!(ids("a.conf", &twice).is_empty());
}

#[test]
fn includes_have_a_bounded_depth() {
    let chain = |count: u32| {
        (0..count).fold(Memory::default(), |files, n| {
            files.with(&format!("{n}.conf"), format!("Include {}.conf\n", n + 1))
        })
    };
    assert_eq!(ids("0.conf", &chain(31).with("31.conf", action(1))), [1]);
    let deep = problem("0.conf", &chain(33).with("33.conf", ""));
    assert!(deep.contains("more than 32 deep"), "{deep}");
}

#[test]
fn lines_and_texts_have_a_bounded_size() {
    let long = format!("SecAction \"id:1,pass,msg:'{}'\"", "x".repeat(1 << 20));
    assert!(problem("a", &Memory::default().with("a", long)).contains("longer than 1 MiB"));
    let remark = format!("# {}\n", "x".repeat(1_000));
    let line = format!("SecComponentSignature \"{}\"\n", "x".repeat(1_000_000));
    let files = Memory::default().with("part", line.repeat(8));
    let includes = "Include part\n".repeat(9);
    let large = problem("a", &files.with("a", format!("{remark}{includes}")));
    assert!(large.contains("larger than 64 MiB"), "{large}");
}

#[test]
fn data_files_are_read_beside_the_rules() {
    let files = Memory::default()
        .with("a", "SecRule ARGS \"@pmFromFile one two\" \"id:1,phase:1,deny\"")
        .with("one", "# remark\nfirst\n\n")
        .with("two", "second\r\n");
    assert_eq!(ids("a", &files), [1]);
    let empty = Memory::default()
        .with("a", "SecRule ARGS \"@pmFromFile one\" \"id:1,phase:1,deny\"")
        .with("one", "# only a remark\n");
    assert!(problem("a", &empty).contains("no phrase"));
}

#[test]
fn folders_hold_files_and_nothing_else_does() {
    let folder = Folder::new(env!("CARGO_MANIFEST_DIR"));
    assert!(ids("rules/builtin.conf", &folder).len() > 10);
    assert_eq!(folder.list("rules/builtin.conf", "b*.conf").unwrap(), ["builtin.conf"]);
    assert!(matches!(folder.read("", "rules"), Err(FileFault::Unreadable(..))));
    assert!(matches!(folder.list("", "none/*.conf"), Err(FileFault::Unreadable(..))));
}

#[test]
fn lines_are_continued_and_remarks_are_left_out() {
    for (text, expected) in [
        ("SecAction \\\n  \"id:1,\\\n  pass\"", &[1][..]),
        ("SecAction \"id:1,pass\"\r\nSecAction \"id:2,pass\"\r\n", &[1, 2]),
        ("\u{feff}SecAction \"id:1,pass\"", &[1]),
        ("# SecAction \"id:1,pass\"\n\n   # x\nSecAction \"id:2,pass\"", &[2]),
        // A rule that was taken out by its first line is out as a whole.
        ("#SecAction \\\n  \"id:1,pass\"\nSecAction \"id:2,pass\"", &[2]),
        // A remark that ends so hides nothing.
        ("# see c:\\\nSecAction \"id:2,pass\"", &[2]),
        ("secaction id:1,pass", &[1]),
        ("SecAction 'id:1,pass'", &[1]),
        ("SecAction \"id:1,pass,msg:'it\\'s, so'\"", &[1]),
        ("SecRule ARGS:'a|b'|ARGS:'/x|y/' \"@rx \\\"\" \"id:1,pass\"", &[1]),
    ] {
        assert_eq!(ids("a", &Memory::default().with("a", text)), expected, "{text}");
    }
}
