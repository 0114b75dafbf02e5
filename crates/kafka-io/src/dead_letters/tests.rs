use proptest::prelude::*;

use super::*;

fn letter(key: usize, payload: usize, headers: &[(&str, usize)]) -> Kept {
    let own = [(header::FORMAT, "2"), (header::REASON, "not_utf8")];
    let own = own.map(|(name, value)| (name.into(), Some(value.into())));
    let of_record = headers.iter().map(|(name, bytes)| {
        (
            header::on_letter(name.as_bytes()).into_owned(),
            Some(vec![7; *bytes]),
        )
    });
    Kept {
        topic: "t".to_owned(),
        key: (key > 0).then(|| vec![1; key]),
        payload: Some(vec![0xff; payload]),
        headers: own.into_iter().chain(of_record).collect(),
    }
}

fn text(letter: &Kept, name: &str) -> Option<String> {
    let found = letter
        .headers
        .iter()
        .find(|(found, _)| found == name.as_bytes())?;
    String::from_utf8(found.1.clone()?).ok()
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[test]
fn what_is_cut_is_named_with_its_length_and_hash_and_the_rest_stays() {
    let whole = letter(3, 20_000_000, &[("a", 1), ("reason", 2)]);
    let mut smaller = whole.clone();
    assert!(cut(&mut smaller));
    let payload = smaller.payload.clone().unwrap();
    assert!(payload.len() > 32 * 1024 && payload.len() < 65 * 1024);
    assert_eq!(text(&smaller, header::VALUE_LENGTH).unwrap(), "20000000");
    assert_eq!(
        text(&smaller, header::VALUE_SHA256).unwrap(),
        hex(&vec![0xff; 20_000_000])
    );
    assert_eq!(smaller.key, whole.key);
    assert_eq!(text(&smaller, header::KEY_LENGTH), None);
    assert_eq!(text(&smaller, header::HEADERS_COUNT), None);
    assert_eq!(text(&smaller, header::REASON).unwrap(), "not_utf8");
    assert_eq!(text(&smaller, "original-reason").unwrap(), "\u{7}\u{7}");
}

#[test]
fn headers_and_keys_are_cut_too_and_a_cut_letter_is_cut_further() {
    let mut smaller = letter(1_000_000, 10, &[("a", 1), ("b", 5_000_000), ("c", 1)]);
    let before = smaller.clone();
    assert!(cut(&mut smaller));
    assert_eq!(text(&smaller, header::KEY_LENGTH).unwrap(), "1000000");
    assert_eq!(text(&smaller, header::HEADERS_COUNT).unwrap(), "3");
    // Each name and value behind its length.
    assert_eq!(
        text(&smaller, header::HEADERS_LENGTH).unwrap(),
        (6 * 4 + 3 + 5_000_002).to_string()
    );
    assert_eq!(smaller.payload, before.payload, "it fits");
    let named: Vec<_> = ["a", "b", "c"]
        .map(|name| text(&smaller, name).is_some())
        .into();
    assert_eq!(named, [true, false, false], "in order, as far as they fit");
    let said = |letter: &Kept| {
        [
            header::KEY_LENGTH,
            header::KEY_SHA256,
            header::HEADERS_COUNT,
            header::HEADERS_SHA256,
        ]
        .map(|name| text(letter, name))
    };
    let first = said(&smaller);
    let mut cuts = 1;
    while cut(&mut smaller) {
        cuts += 1;
        assert_eq!(said(&smaller), first, "the record's, not the letter's");
    }
    assert_eq!(cuts, BUDGETS.len());
    assert_eq!((smaller.key, smaller.payload), (Some(vec![]), Some(vec![])));
}

proptest! {
    /// Would catch a cut that Kafka refuses for ever because it makes nothing smaller.
    #[test]
    fn every_cut_is_smaller_and_there_is_an_end(
        key in 0_usize..200_000,
        payload in 0_usize..200_000,
        headers in proptest::collection::vec(0_usize..100_000, 0..5),
    ) {
        let names = ["a", "b", "reason", "original-x", "e"];
        let headers: Vec<_> = names.into_iter().zip(headers).collect();
        let mut now = letter(key, payload, &headers);
        let of_record = |letter: &Kept| {
            let headers = letter.header_views();
            of_the_record(&Outgoing {
                topic: "t",
                key: letter.key.as_deref(),
                payload: letter.payload.as_deref(),
                headers: &headers,
            })
        };
        let mut before = of_record(&now);
        let mut cuts = 0;
        while cut(&mut now) {
            let after = of_record(&now);
            prop_assert!(after < before, "{after} after {before}");
            before = after;
            cuts += 1;
        }
        prop_assert_eq!(before, 0);
        prop_assert!(cuts <= BUDGETS.len());
    }
}
