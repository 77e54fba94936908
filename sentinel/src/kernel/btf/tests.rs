//! Reads made-up type information.

use super::*;

/// `struct outer { int a; union { long b; struct inner c; }; }`, `struct inner { int x[4]; }`, and a tracepoint
/// with a pointer and an int; `enum colours { red = 3, blue = 7 }`, and a variable `mine` that each CPU has.
fn blob() -> Vec<u8> {
    let mut strings = vec![0u8];
    let mut string = |name: &str| {
        let at = strings.len() as u32;
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        at
    };
    let (int, long, outer, inner) = (string("int"), string("long"), string("outer"), string("inner"));
    let (colours, red, blue) = (string("colours"), string("red"), string("blue"));
    let (mine, area) = (string("mine"), string(".data..percpu"));
    let (a, b, c, x, trace) = (
        string("a"),
        string("b"),
        string("c"),
        string("x"),
        string("btf_trace_probe"),
    );
    let kind = |kind: u32, count: u32| kind << 24 | count;
    let types: Vec<u32> = [
        vec![int, kind(1, 0), 4, 32],                   // 1 int
        vec![long, kind(1, 0), 8, 64],                  // 2 long
        vec![0, kind(3, 0), 0, 1, 1, 4],                // 3 int[4]
        vec![inner, kind(4, 1), 16, x, 3, 0],           // 4 struct inner
        vec![0, kind(5, 2), 16, b, 2, 0, c, 4, 0],      // 5 union
        vec![outer, kind(4, 2), 24, a, 1, 0, 0, 5, 64], // 6 struct outer
        vec![0, kind(2, 0), 6],                         // 7 struct outer *
        vec![0, kind(13, 3), 0, 0, 7, 0, 7, 0, 1],      // 8 fn(void *, outer *, int)
        vec![0, kind(2, 0), 8],                         // 9 fn *
        vec![trace, kind(8, 0), 9],                     // 10 typedef
        vec![colours, kind(6, 2), 4, red, 3, blue, 7],  // 11 enum
        vec![mine, kind(14, 0), 1, 1],                  // 12 variable
        vec![area, kind(15, 1), 0, 12, 0x2000, 4],      // 13 section
    ]
    .concat();
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
    let header = [
        u32::from(MAGIC) | 1 << 16,
        24,
        0,
        types.len() as u32,
        types.len() as u32,
        strings.len() as u32,
    ];
    let mut blob: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    blob.extend(types);
    blob.extend(strings);
    blob
}

#[test]
fn a_field_is_found_through_anonymous_members_and_paths() {
    let btf = Btf::parse(&blob()).expect("a whole blob");
    assert_eq!(btf.offset("outer", "a"), Some(0));
    assert_eq!(btf.offset("outer", "b"), Some(8));
    assert_eq!(btf.offset("outer", "c.x"), Some(8));
    assert_eq!(btf.offset("outer", "d"), None);
    assert_eq!(btf.offset("nothing", "a"), None);
    assert_eq!(btf.element_bytes("outer", "c.x"), Some((4, 4)));
    assert_eq!(btf.tracepoint("probe"), Some(vec![true, false]));
}

#[test]
fn values_of_an_enumeration_and_places_of_variables_are_found_by_name() {
    let btf = Btf::parse(&blob()).expect("a whole blob");
    assert_eq!(
        btf.enumerators("colours").collect::<Vec<_>>(),
        [("red", 3), ("blue", 7)]
    );
    assert_eq!(btf.enumerators("outer").count(), 0);
    assert_eq!((btf.per_cpu("mine"), btf.per_cpu("colours")), (Some(0x2000), None));
}

#[test]
fn cut_short_anywhere_it_is_an_error_or_a_shorter_list_and_never_a_panic() {
    let blob = blob();
    for length in 0..blob.len() {
        assert!(Btf::parse(&blob[..length]).is_err(), "{length} bytes were accepted");
    }
}

#[test]
fn foreign_bytes_and_unknown_kinds_are_named() {
    assert_eq!(Btf::parse(&[1, 2, 3, 4]).err(), Some(BtfError::BadMagic(0x0201)));
    let mut blob = blob();
    blob[24 + 4 + 3] = 0x1f;
    assert_eq!(Btf::parse(&blob).err(), Some(BtfError::UnknownKind { id: 1, kind: 31 }));
}

/// `struct loops { struct loops, struct loops, … }`, all without a name: sixteen deep that would be 8^16 visits.
#[test]
fn a_structure_that_holds_itself_many_times_is_searched_in_bounded_time() {
    let strings = b"\0loops\0";
    let mut types = vec![1u32, 4 << 24 | 8, 64];
    types.extend([0, 1, 0].repeat(8));
    let header = [
        u32::from(MAGIC) | 1 << 16,
        24,
        0,
        4 * types.len() as u32,
        4 * types.len() as u32,
        7,
    ];
    let words = header.iter().chain(&types);
    let mut blob: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
    blob.extend(strings);
    let btf = Btf::parse(&blob).expect("a whole blob");
    assert!(btf.has_struct("loops"));
    assert_eq!(btf.offset("loops", "a"), None);
}

#[test]
fn any_flipped_byte_is_read_without_a_panic() {
    let blob = blob();
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut blob = blob.clone();
            blob[at] ^= 1 << bit;
            if let Ok(btf) = Btf::parse(&blob) {
                let _ = (
                    btf.offset("outer", "c.x"),
                    btf.element_bytes("outer", "c"),
                    btf.tracepoint("probe"),
                    btf.enumerators("colours").count(),
                    btf.per_cpu("mine"),
                );
            }
        }
    }
}
