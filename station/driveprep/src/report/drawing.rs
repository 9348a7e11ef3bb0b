//! Barcodes and the label as SVG. Lengths are millimetres; one picture serves page and label printer.

use fast_qr::{ECL, QRBuilder};
use maud::{Markup, html};

use super::code128::{self, QUIET_MODULES};
use super::facts::Facts;
use super::page::{blob_counts, bytes_text};

/// The label: 100 × 62 mm, a common size of label printers.
pub const LABEL_WIDTH_MM: u32 = 100;
/// Its height.
pub const LABEL_HEIGHT_MM: u32 = 62;
/// Blank modules around a QR code: ISO/IEC 18004.
const QR_QUIET_MODULES: usize = 4;
/// Text of one line on the label; a longer one is cut with an ellipsis.
const LINE_CHARACTERS_MAX: usize = 34;
/// Beside the QR code there is less room.
const NARROW_CHARACTERS_MAX: usize = 30;

/// The serial number's bars, stretched to a box; `None` when Code 128 cannot hold it.
fn bars(text: &str, (x, y): (f64, f64), (width, height): (f64, f64)) -> Option<Markup> {
    let barcode = code128::encode(text)?;
    let module = width / f64::from(barcode.width + 2 * QUIET_MODULES);
    let path: String = barcode
        .bars
        .iter()
        .map(|bar| {
            let left = x + module * f64::from(bar.at + QUIET_MODULES);
            let wide = module * f64::from(bar.width);
            format!("M{left:.4} {y:.4}h{wide:.4}v{height:.4}h-{wide:.4}z")
        })
        .collect();
    Some(html! { path d=(path) fill="#000" shape-rendering="crispEdges" {} })
}

/// A QR code stretched to a square, its quiet zone inside; `None` when the text is too long for one.
fn qr(text: &str, (x, y): (f64, f64), side: f64) -> Option<Markup> {
    let code = QRBuilder::new(text).ecl(ECL::M).build().ok()?;
    let module = side / to_f64(code.size + 2 * QR_QUIET_MODULES);
    let place = |index: usize| module * to_f64(index + QR_QUIET_MODULES);
    let mut path = String::new();
    for row in 0..code.size {
        for (column, cell) in code[row].iter().take(code.size).enumerate().filter(|(_, cell)| cell.value()) {
            let _ = cell;
            let (left, top) = (x + place(column), y + place(row));
            path.push_str(&format!("M{left:.4} {top:.4}h{module:.4}v{module:.4}h-{module:.4}z"));
        }
    }
    Some(html! { path d=(path) fill="#000" shape-rendering="crispEdges" {} })
}

/// The label as an SVG element that a page may hold.
pub fn label(facts: &Facts) -> Markup {
    let view = format!("0 0 {LABEL_WIDTH_MM} {LABEL_HEIGHT_MM}");
    let (width, height) = (format!("{LABEL_WIDTH_MM}mm"), format!("{LABEL_HEIGHT_MM}mm"));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(view) role="img"
            aria-label=(format!("Label of drive {}", facts.serial)) font-family="Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif" {
            rect x="0" y="0" width=(LABEL_WIDTH_MM) height=(LABEL_HEIGHT_MM) fill="#fff" {}
            text x="4" y="7.2" font-size="3.4" fill="#000" { "DRIVE" }
            @if let Some(name) = &facts.job_name {
                text x="96" y="7.2" font-size="3.4" text-anchor="end" fill="#000" { "Job " (cut(name, LINE_CHARACTERS_MAX)) }
            }
            (serial(facts))
            @match bars(&facts.serial, (2.0, 17.5), (96.0, 13.0)) {
                Some(bars) => { (bars) }
                None => { text x="4" y="25" font-size="3" { "This serial number has no barcode: type it." } }
            }
            line x1="4" y1="33" x2="96" y2="33" stroke="#000" stroke-width="0.25" {}
            @if let Some(code) = qr(&facts.qr_text(), (68.5, 33.5), 28.0) { (code) }
            @for (index, (name, value)) in lines(facts).iter().enumerate() {
                @let y = format!("{:.1}", 38.2 + 4.6 * to_f64(index));
                text x="4" y=(y) font-size="2.6" fill="#444" { (name) }
                text x="20" y=(y) font-size="3" fill="#000" { (cut(value, NARROW_CHARACTERS_MAX)) }
            }
        }
    }
}

fn serial(facts: &Facts) -> Markup {
    // Larger than needed to be read at arm's length, smaller where it would not fit.
    let characters = facts.serial.chars().count().max(1);
    let size = (150.0 / to_f64(characters)).clamp(2.4, 7.5);
    html! {
        text x="50" y="14.8" font-size=(format!("{size:.2}")) font-weight="bold" text-anchor="middle" fill="#000" {
            (cut(&facts.serial, 60))
        }
    }
}

fn lines(facts: &Facts) -> Vec<(&'static str, String)> {
    let (first, second) = facts.manifest_hash.split_at(facts.manifest_hash.len().min(16));
    let mut lines = Vec::new();
    if let Some(contents) = &facts.contents {
        lines.push(("Holds", blob_counts(contents)));
        lines.push(("Bytes", bytes_text(contents.bytes)));
    }
    lines.push(("Manifest", format!("{} {first}", facts.hash_algorithm)));
    lines.push(("", second.chars().take(32).collect()));
    lines.push(("Printed", facts.printed.clone()));
    lines
}

fn cut(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(characters_max.saturating_sub(1)).collect();
            format!("{kept}…")
        }
    }
}

/// Counts of modules and characters, some hundreds.
#[allow(clippy::cast_precision_loss, reason = "a count of modules is exact in a float")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
