//! What people write into the fields of an API: names, remarks, notes with marks of their own,
//! in several languages. Written without a look at any rule.

use super::chance::Chance;

const FIRST: &[&str] = &[
    "Anna",
    "Ben",
    "Chloé",
    "Dmitri",
    "Eilidh",
    "François",
    "Grace",
    "Håkon",
    "Ines",
    "Jürgen",
    "Kofi",
    "Lucía",
    "Mei",
    "Nuno",
    "Oluwaseun",
    "Priya",
    "Quentin",
    "Rosa",
    "Søren",
    "Tomasz",
    "Uma",
    "Vadim",
    "Wiktoria",
    "Xiu",
    "Yusuf",
    "Zoë",
    "Mary-Jane",
    "Jean-Luc",
    "Abd al-Rahman",
    "Σοφία",
    "Олена",
    "美咲",
    "민준",
    "דוד",
    "فاطمة",
    "अनिल",
];

const LAST: &[&str] = &[
    "Smith",
    "O'Brien",
    "D'Angelo",
    "Müller",
    "García Márquez",
    "van der Berg",
    "McDonald",
    "Nguyễn",
    "Kowalczyk",
    "Øster",
    "L'Heureux",
    "O’Neill",
    "Smith-Jones",
    "de la Cruz",
    "St. John",
    "Şahin",
    "Ivanova",
    "N'Diaye",
    "Fitzgerald III",
    "Lee",
    "Παπαδόπουλος",
    "Шевченко",
    "田中",
    "김",
    "כהן",
    "الحسن",
    "शर्मा",
    "Okafor",
    "Lindqvist",
    "Ó Súilleabháin",
];

const COMPANIES: &[&str] = &[
    "Harbour & Sons Ltd.",
    "Brightwater GmbH",
    "AT&C Freight",
    "Baker's Dozen, Inc.",
    "Nord/Süd Logistik",
    "7 Oaks (Holdings) plc",
    "Cloud#9 Studios",
    "Société Générale du Bois",
    "Kaffee+Kuchen OHG",
    "Ward, Hill & Co.",
    "#1 Cleaners",
    "O'Malley's Pub",
    "50% Off Outlet",
    "Zoë's Flowers",
    "Tiger Tea 虎茶",
    "Alpha–Beta Testing",
    "J. P. Green & Daughters",
];

const STREETS: &[&str] = &[
    "12 St. James's Place",
    "Straße des 17. Juni 135",
    "221B Baker Street, Flat #2",
    "4/7 Old Mill Rd.",
    "Rue de l'Église 9 bis",
    "C/ Alcalá, 45, 3º izq.",
    "1600 Main St; Suite 4",
    "Unit 5 - Block C, King's Park",
    "ul. Świętokrzyska 14/20 m. 3",
    "Paseo de la Reforma 222",
    "東京都千代田区丸の内1-9-1",
    "Postbus 123",
    "Via dell'Orso 2",
    "Apt. 9, 77 Queen & King St",
];

const CITIES: &[&str] = &[
    "Zürich",
    "São Paulo",
    "L'Aquila",
    "St. John's",
    "Kraków",
    "東京",
    "Coeur d'Alene",
    "Århus",
    "Münster (Westf.)",
    "New York, NY",
    "Newcastle upon Tyne",
    "Αθήνα",
    "Łódź",
    "Nizhny Novgorod",
];

/// Remarks as they are written in English, with quotes, brackets, percents, arrows and the like.
const REMARKS: &[&str] = &[
    "Please leave the parcel with the neighbour at no. 14; the bell doesn't work.",
    "Can't log in since yesterday. It says \"invalid session\" & then nothing happens.",
    "Invoice #4471 was paid twice (see attachment) -- could you refund one of them?",
    "10% off if you order before 5pm; otherwise it's full price.",
    "She said: 'call me back', but the number isn't in our list.",
    "Works on my machine. Doesn't work on theirs. Any idea?",
    "Meeting moved to 3/4 @ 10:30 - room B2 or C1, whichever is free.",
    "If x > 5 and y < 3 then the widget turns red; that is by design.",
    "Insert coin to continue ;-)",
    "Where is my order? I paid $49.99 on 2024-03-01!",
    "Great value for money!!! Would buy again... 5/5",
    "TODO: ask Bob/Alice about the Q3 budget (~$1.2M) & the new hires.",
    "Contents: 2x cable (1m), 1x adapter [EU], 1x manual {German/English}.",
    "The temperature was -3°C at night, +12°C during the day.",
    "Hello World! <3 from Lisbon",
    "Note: a=b or a=c, but never both; see section 4.2 of the handbook.",
    "I'd like to change the delivery address: 5 O'Connell St., Dublin 1.",
    "Price: €19,90 / piece (min. 10 pcs.)",
    "Use the key under the mat. Code for the gate: *4711#",
    "Subject to approval by H.R.; cc: finance, legal & ops",
    "Why? Because 1 + 1 = 2, and 2 * 2 = 4. That's why.",
    "Customer wants \"blue\" or \"green\", not \"teal\".",
    "See https://docs.example.com/guide?page=2#install for the steps.",
    "Contact: support@example.org, +44 (0)20 7946 0018",
    "Menu: fish & chips; soup of the day; 'catch of the day' (ask!)",
    "Sizes S/M/L/XL - if in doubt, take the larger one :)",
    "My cat's id tag says \"Whiskers\"; please update her record.",
    "50/50 split between A and B; A's share = 1/2 * total",
    "Let's have lunch - my treat! @ the usual place?",
    "Ship to: warehouse \\\\ dock 7 (ask for Kim)",
    "Version 2.0 -> 2.1: fixes #12, #15; adds `--verbose`.",
    "A&B | C&D: which pair do you prefer?",
    "Reminder; 1) passport 2) tickets 3) charger",
    "Returned: wrong size. Exchanged for one size up (39 => 40).",
    "As per phone call w/ Mr. O'Hara: no changes, go ahead.",
    "{placeholder} was printed on the letter instead of my name!",
    "Hi team,\n\nplease find the figures below:\n- May: 1,204\n- June: 1,377 (+14%)\n\nThanks,\nJo",
    "Line one\r\nLine two: still the same note\r\n\r\nBest regards",
    "It's \"fine\". Really; it's fine...",
    "Room w/ view, non-smoking; late check-in (after 11 p.m.)",
];

/// Remarks with words of computing, or with words that also are commands.
const TECHNICAL: &[&str] = &[
    "Update: the team selected three candidates from the list, and one of them declined.",
    "Drop the table off at the back door, or leave it where the chairs are.",
    "We need a union representative from each department and a select committee.",
    "Don't panic: the system will sleep for 10 minutes and then wake up by itself.",
    "Is it true that and/or the order by date was cancelled?",
    "Ran the script from /usr/local/bin, then checked the log in /var/log/app - all good.",
    "Error: expected ';' before '}' token (line 42)",
    "The alert on line 3 went off at 02:15; on load it looked fine.",
    "Please execute the attached order no later than Friday.",
    "Group by region, having at least 3 shops, order by name.",
    "The script was great, the acting less so. 3 out of 5 *s.",
    "Set the default to none, or null, or whatever you call it.",
    "Delete from my account the card ending in 4242, please.",
    "Benchmark (n=100): mean 3.2ms, sd ±0.4, p<0.05",
    "echo of the old hall was lovely, bass sounded boomy though",
    "Who am I to judge? Ping me when the curl in the carpet is fixed.",
];

const FOREIGN: &[&str] = &[
    "Können Sie mir bitte die Rechnung für Mai noch einmal schicken? Vielen Dank & Grüße!",
    "Der Artikel „Lampe Größe 2“ war defekt – bitte um Rückruf.",
    "J'aimerais modifier l'adresse de livraison : 3, rue de l'Étoile, s'il vous plaît.",
    "C'est l'été ! Profitez de -20 % jusqu'au 31/08.",
    "¿Dónde está mi pedido nº 5521? ¡Llevo dos semanas esperando!",
    "Não consigo entrar na conta; aparece \"sessão inválida\".",
    "Proszę o kontakt w sprawie zamówienia nr 12/2024 – dziękuję!",
    "Sipariş numaram 8841; lütfen İstanbul şubesine gönderin.",
    "Добрый день! Подскажите, пожалуйста, когда будет доставка?",
    "Дякую, все працює. Оцінка: 5/5",
    "Παρακαλώ αλλάξτε τη διεύθυνση αποστολής.",
    "الرجاء تحديث العنوان: شارع الملك فهد، الرياض",
    "אפשר לקבל חשבונית? תודה רבה!",
    "कृपया मेरा पता बदल दें, धन्यवाद।",
    "请把收货地址改成北京市朝阳区建国路88号，谢谢！",
    "ご注文の商品は「本日中」に発送されますか？",
    "배송이 언제 도착하나요? 빠른 답변 부탁드립니다.",
    "Vui lòng giao hàng sau 18:00 – cảm ơn!",
    "Kérem, hívjanak vissza: +36 1 555 0199 (9–17 óra).",
    "Toimitus myöhästyi; pyydän hyvitystä 15 €.",
    "🎉 Happy birthday, Zoë! 🎂 See you at 8 👋",
    "Vă rog să schimbați data: 12.05.2025, ora 14:30.",
];

const MARKDOWN: &[&str] = &[
    "# Release notes\n\n- **Faster** start (see [docs](https://example.com/docs?v=2))\n- Fix: `None` \
     no longer shown\n\n> Thanks to everyone!",
    "## Steps\n1. Open *Settings*\n2. Click **Save & close**\n3. Done ✔\n\n---\nMore: <https://example.com>",
    "| name | price |\n|------|------:|\n| tea  | 3.50  |\n| cake | 4.20  |",
    "Run `npm install` first, then:\n\n```sh\nnpm run build\nnpm test\n```\n",
    "The answer is in `config.yaml`:\n\n```yaml\nserver:\n  port: 8080\n  hosts: [a, b]\n```",
    "~~old~~ **new** _text_ with a [link][1] and an image ![logo](/img/logo.png)\n\n[1]: https://example.org",
    "- [x] write tests\n- [ ] review (@maria, #218)\n- [ ] ship it :rocket:",
];

const MARKUP: &[&str] = &[
    "<p>Dear customer,</p><p>your order <b>has shipped</b>.</p>",
    "<h2>Opening hours</h2><ul><li>Mon&ndash;Fri: 9&nbsp;am</li><li>Sat: closed</li></ul>",
    "<p>More at <a href=\"https://example.com/help\">our help page</a>.</p>",
    "<div class=\"note\"><em>Tip:</em> use the blue button &raquo;</div>",
];

const CODE: &[&str] = &[
    "const total = items.reduce((sum, item) => sum + item.price, 0);",
    "def area(r):\n    return 3.14159 * r ** 2",
    "function greet(name) { return `Hello, ${name}!`; }",
    "for (int i = 0; i < 10; i++) { printf(\"%d\\n\", i); }",
    "SELECT name, price FROM products WHERE price > 10 ORDER BY price",
    "if err != nil {\n\treturn fmt.Errorf(\"open %s: %w\", path, err)\n}",
    "fn main() {\n    println!(\"{}\", 6 * 7);\n}",
    "{\"retries\": 3, \"hosts\": [\"a\", \"b\"]}",
    "df.groupby('region')['sales'].sum().sort_values(ascending=False)",
    "git commit -m \"Fix typo\" && git push",
    "status == 'active' && total >= 100",
    "^[A-Z]{2}\\d{6}$",
    "$.store.book[?(@.price < 10)].title",
    "color: #333; margin: 0 auto;",
];

const SEARCHES: &[&str] = &[
    "red shoes size 42",
    "rock & roll",
    "\"exact phrase\" -draft",
    "c++ or c#",
    "who's who",
    "café near me",
    "name:smith AND city:\"New York\"",
    "price>=10 price<50",
    "what is 5% of 80?",
    "select committee",
    "drop shipping",
    "tom & jerry",
    "user@example.com",
    "état civil",
    "寿司",
    "order by phone",
    "*.pdf",
    "from:anna subject:(invoice OR receipt)",
    "a/b testing",
    "10' cable",
    "status eq 'open' and priority gt 3",
    "O'Reilly",
    "script font",
    "is:open label:bug",
];

const LABELS: &[&str] = &[
    "active",
    "Pending review",
    "draft",
    "Premium",
    "north-east",
    "blue",
    "v2",
    "Q3/2024",
    "high",
    "standard",
    "In progress",
    "R&D",
    "n/a",
    "default",
    "weekly",
    "A+",
    "Other (see note)",
    "customer_support",
    "Sales & Marketing",
    "beta",
    "TBD",
    "100% cotton",
    "black/white",
    "Mr.",
    "home",
    "on hold",
    "self-employed",
    "Type II",
    "4K",
    "left",
    "unknown",
    "50+",
];

const TITLES: &[&str] = &[
    "Quarterly report",
    "What's new in version 3?",
    "The Lord of the Rings: Part II",
    "Ocean's 11",
    "Terms & Conditions",
    "How to bake bread (in 5 steps)",
    "Größe und Gewicht",
    "L'Étranger",
    "Weekly sync - notes",
    "Black Friday: up to 70% off!",
    "Re: your question",
    "Fwd: Invoice #88",
    "Project \"Nightingale\"",
    "Summer Sale; while stocks last",
    "1984",
    "Who? What? Where?",
    "Select your seat",
    "東京の夜",
    "Ein Sommer in Köln",
    "Alien³",
    "Tea + biscuits",
];

pub(super) fn first_name(chance: &mut Chance) -> String {
    chance.pick(FIRST).to_owned()
}

pub(super) fn last_name(chance: &mut Chance) -> String {
    chance.pick(LAST).to_owned()
}

pub(super) fn full_name(chance: &mut Chance) -> String {
    if chance.percent(15) {
        return format!("{}, {}", last_name(chance), first_name(chance));
    }
    format!("{} {}", first_name(chance), last_name(chance))
}

/// The name of a thing, a firm or a person.
pub(super) fn name(chance: &mut Chance) -> String {
    match chance.below(5) {
        0 => company(chance),
        1 => full_name(chance),
        2 => label(chance),
        _ => title(chance),
    }
}

pub(super) fn company(chance: &mut Chance) -> String {
    chance.pick(COMPANIES).to_owned()
}

pub(super) fn street(chance: &mut Chance) -> String {
    chance.pick(STREETS).to_owned()
}

pub(super) fn city(chance: &mut Chance) -> String {
    chance.pick(CITIES).to_owned()
}

pub(super) fn title(chance: &mut Chance) -> String {
    chance.pick(TITLES).to_owned()
}

pub(super) fn label(chance: &mut Chance) -> String {
    chance.pick(LABELS).to_owned()
}

pub(super) fn search(chance: &mut Chance) -> String {
    chance.pick(SEARCHES).to_owned()
}

pub(super) fn code(chance: &mut Chance) -> String {
    chance.pick(CODE).to_owned()
}

/// A remark of one to three sentences: of a hundred, 25 are in another language than English, and
/// three are about computing or sound like it.
pub(super) fn remark(chance: &mut Chance) -> String {
    let count = chance.between(1, 3);
    let remarks: Vec<&str> = (0..count)
        .map(|_| match chance.below(100) {
            0..25 => chance.pick(FOREIGN),
            25..28 => chance.pick(TECHNICAL),
            _ => chance.pick(REMARKS),
        })
        .collect();
    remarks.join(" ")
}

/// A longer text: of ten, six are remarks, two Markdown, one a piece of a page, one has code.
pub(super) fn article(chance: &mut Chance) -> String {
    match chance.below(10) {
        0 => chance.pick(MARKUP).to_owned(),
        1 => format!("{}\n\n```\n{}\n```", remark(chance), code(chance)),
        2 | 3 => chance.pick(MARKDOWN).to_owned(),
        _ => remark(chance),
    }
}
