//! Tracking numbers: when one parcel holds several jobs' drives, each job's has a suffix, -1 to -9 (spec §4.5).

/// The last suffix.
const SUFFIX_MAX: u32 = 9;

/// The numbers under which the jobs of that parcel may be known: its own, and that with each suffix.
pub(crate) fn numbers(tracking_number: &str) -> impl Iterator<Item = String> {
    let suffixed = (1..=SUFFIX_MAX).map(move |n| format!("{tracking_number}-{n}"));
    std::iter::once(tracking_number.to_owned()).chain(suffixed)
}

/// The parcel that a job's number is of: the number without its suffix. Blanks do not count, as in the ledger.
pub(crate) fn of_number(number: &str) -> String {
    let mut number = shown(number);
    if let Some((parcel, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9")) = number.rsplit_once('-')
        && !parcel.is_empty()
    {
        number.truncate(parcel.len());
    }
    number
}

/// Whether two are one number, however they are written.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    shown(one).eq_ignore_ascii_case(&shown(other))
}

fn shown(number: &str) -> String {
    number.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_its_parcel_and_the_parcel_to_its_numbers() {
        for (number, parcel) in
            [("777", "777"), (" 777- 3 ", "777"), ("777-0", "777-0"), ("777-12", "777-12"), ("-1", "-1")]
        {
            assert_eq!(of_number(number), parcel);
            assert!(numbers(parcel).any(|found| is_same(&found, number)), "{number}");
        }
    }
}
