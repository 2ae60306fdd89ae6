//! Room in lists of which there are many, most of them short.

/// Makes room for one more entry. What is short grows by one, and what is long by an eighth, so that
/// short lists waste nothing and no entry costs more than a few steps on average.
pub fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_has_room_for_what_is_in_it() {
        let mut list = Vec::new();
        for len in 1..=8 {
            make_room(&mut list);
            list.push([0_u64; 4]);
            assert_eq!(list.capacity(), len);
        }
    }

    #[test]
    fn a_long_list_moves_seldom_and_wastes_an_eighth() {
        let (mut list, mut moves) = (Vec::new(), 0);
        for len in 1..=100_000 {
            let before = list.capacity();
            make_room(&mut list);
            list.push(len);
            moves += usize::from(list.capacity() != before);
            assert!(list.capacity() <= len + len / 8, "{len}: {}", list.capacity());
        }
        assert!(moves < 120, "{moves}");
    }
}
