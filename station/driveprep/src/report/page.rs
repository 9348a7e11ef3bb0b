//! The page that travels with the drive, and the one that must not.
//!
//! Self-contained: no script, no font, no picture from elsewhere, and a policy that says so. Every
//! text is escaped by the template engine; names in a manifest are a stranger's.

use indicatif::{DecimalBytes, HumanCount};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::drawing;
use super::facts::{Contents, Facts};

/// One screen, A4 and Letter: the margins leave 180 × 253 mm, which both have.
const STYLE: &str = "\
@page { margin: 13mm 15mm; }
* { box-sizing: border-box; }
body { font: 10pt/1.3 Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif; color: #111; margin: 0 auto; max-width: 180mm; padding: 6mm 0; }
header { display: flex; justify-content: space-between; align-items: baseline; border-bottom: 0.6mm solid #111; padding-bottom: 2mm; }
h1 { font-size: 19pt; margin: 0; overflow-wrap: anywhere; }
header p { margin: 0; color: #444; text-align: right; }
h2 { font-size: 11pt; margin: 4mm 0 1mm; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.6mm 2mm 0.6mm 0; border-bottom: 0.2mm solid #ccc; }
th { width: 40mm; font-weight: normal; color: #444; }
td { overflow-wrap: anywhere; }
.mono { font-family: 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace; font-size: 9.5pt; }
ul.check { list-style: none; margin: 0; padding: 0; }
ul.check li { padding: 0.5mm 0 0.5mm 7mm; position: relative; }
ul.check li::before { content: ''; position: absolute; left: 0; top: 0.9mm; width: 3.4mm; height: 3.4mm; border: 0.3mm solid #111; }
.label { width: 104mm; margin: 5mm auto 0; padding: 1.6mm; border: 0.25mm dashed #888; line-height: 0; }
.cut { text-align: center; color: #666; font-size: 8.5pt; margin: 1mm 0 0; }
.secret { border: 1.2mm solid #b00; padding: 4mm 5mm; margin-top: 5mm; }
.secret strong { color: #b00; font-size: 13pt; }
.key { font-size: 14pt; letter-spacing: 0.02em; margin: 4mm 0; overflow-wrap: anywhere; }
section, .label { break-inside: avoid; }
@media print { body { max-width: none; padding: 0; } }
";

/// No resource from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page for the parcel: what the drive is, what is on it, what to do, its label.
pub fn report(facts: &Facts) -> String {
    let title = format!("Drive {}", facts.serial);
    document(
        &title,
        &facts.printed,
        &html! {
            (drive_table(facts))
            @if let Some(contents) = &facts.contents { (contents_table(contents)) }
            (checklist(facts))
            section {
                    div.label { (drawing::label(facts)) }
                p.cut { "100 × 62 mm. Cut along the dashed line and stick it on the drive, not over its own serial number." }
            }
        },
    )
}

/// The page with the key: never in the same parcel.
pub fn key_page(facts: &Facts, key: &str) -> String {
    let title = format!("Key of drive {}", facts.serial);
    document(
        &title,
        &facts.printed,
        &html! {
            div.secret {
                strong { "SECRET. Send it separately from the drive." }
                p { "Whoever has this page and the drive can read everything on it. It belongs into the job, or to the person who creates the job, and into no parcel." }
                p.key.mono { (key) }
                table {
                    tr { th { "Opens drive" } td.mono { (facts.serial) } }
                    tr { th { "Manifest hash" } td.mono { (facts.hash_algorithm) " " (facts.manifest_hash) } }
                    @if let Some(device) = &facts.device {
                        @for protector in &device.protectors { tr { th { "Protector" } td.mono { (protector) } } }
                    }
                }
            }
        },
    )
}

fn document(title: &str, printed: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p { "driveprep " (env!("CARGO_PKG_VERSION")) br; (printed) }
                }
                (body)
            }
        }
    }
    .into_string()
}

fn drive_table(facts: &Facts) -> Markup {
    html! {
        section {
            h2 { "Drive" }
            table {
                tr { th { "Serial number" } td.mono { (facts.serial) } }
                @if let Some(name) = &facts.job_name { tr { th { "Job" } td { (name) } } }
                @if let Some(device) = &facts.device {
                    @if let Some(model) = &device.model { tr { th { "Model" } td { (model) } } }
                    tr { th { "Capacity" } td { (bytes_text(device.length_bytes)) } }
                    tr { th { "Encryption" } td { "BitLocker, " (device.encryption) } }
                    @for protector in &device.protectors {
                        tr { th { "Protector (key ID)" } td.mono { (protector) } }
                    }
                }
                tr { th { "Manifest" } td.mono { (facts.manifest_file) } }
                tr { th { "Manifest hash" } td.mono { (facts.hash_algorithm) " " (facts.manifest_hash) } }
            }
        }
    }
}

fn contents_table(contents: &Contents) -> Markup {
    html! {
        section {
            h2 { "Contents" }
            table {
                tr { th { "Items" } td { (blob_counts(contents)) } }
                tr { th { "Bytes" } td { (bytes_text(contents.bytes)) " (" (HumanCount(contents.bytes)) ")" } }
                tr { th { "Containers, shares" } td { (contents.containers.joined()) } }
                @if !contents.sessions.listed.is_empty() {
                    tr { th { "Sessions" } td { (contents.sessions.joined()) } }
                }
            }
        }
    }
}

fn checklist(facts: &Facts) -> Markup {
    html! {
        section {
            h2 { "Before it is shipped" }
            ul.check {
                li { "“driveprep verify” says that the drive is what its manifest says." }
                li { "The serial number printed on the drive is " span.mono { (facts.serial) } "." }
                li { "The job has this serial number, manifest path and manifest hash, and the recovery key." }
                li { "The recovery key is not in the parcel: not on paper, not on a stick, not on the drive’s case." }
                li { "You still have the data. This drive is a copy, and a drive can get lost." }
                li { "Only the drive goes into the parcel, in an antistatic bag, padded all round: no cables, no adapters." }
                li { "This page is in the parcel, the label on the drive, and the job’s tracking number is in the job." }
            }
        }
    }
}

/// How many blobs and files.
pub fn blob_counts(contents: &Contents) -> String {
    let count = |number: u64, noun: &str| {
        format!("{} {noun}{}", HumanCount(number), if number == 1 { "" } else { "s" })
    };
    match (contents.blobs, contents.files) {
        (blobs, 0) => count(blobs, "blob"),
        (0, files) => count(files, "file"),
        (blobs, files) => format!("{}, {}", count(blobs, "blob"), count(files, "file")),
    }
}

/// A size for people.
pub fn bytes_text(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::facts::{DeviceFacts, Names};
    use super::*;

    const HOSTILE: &str = "<script>alert('1')</script>\"&";

    fn facts() -> Facts {
        let names = Names { listed: BTreeSet::from([HOSTILE.to_owned()]), more: false };
        Facts {
            serial: HOSTILE.to_owned(),
            job_name: Some(HOSTILE.to_owned()),
            manifest_file: HOSTILE.to_owned(),
            contents: Some(Contents { containers: names.clone(), sessions: names, ..Contents::default() }),
            device: Some(DeviceFacts {
                model: Some(HOSTILE.to_owned()),
                protectors: vec![HOSTILE.to_owned()],
                ..DeviceFacts::default()
            }),
            ..Facts::default()
        }
    }

    #[test]
    fn a_hostile_name_is_text_wherever_it_stands() {
        for page in [report(&facts()), key_page(&facts(), HOSTILE), drawing::label(&facts()).into_string()] {
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
            assert!(!page.contains("\"\"&") && !page.contains("'1')</"), "{page}");
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let page = report(&facts());
        let addresses = page.matches("http").count();
        assert_eq!(
            addresses,
            page.matches("http-equiv").count() + page.matches("http://www.w3.org/2000/svg").count()
        );
        for loading in ["src=", "href=", "url(", "@import"] {
            assert!(!page.contains(loading), "{loading}");
        }
    }

    #[test]
    fn counts_are_said_in_the_right_number() {
        let of = |blobs, files| blob_counts(&Contents { blobs, files, ..Contents::default() });
        assert_eq!(of(1, 0), "1 blob");
        assert_eq!(of(0, 2), "2 files");
        assert_eq!(of(1_000, 1), "1,000 blobs, 1 file");
    }
}
