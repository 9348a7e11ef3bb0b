//! Names, addresses, parcels: texts with a length, some of them required.

use super::{Problem, ProblemCode};
use crate::job::fields::{DeliveryPackage, ReturnAddress, ReturnShipping, ShippingInformation};

/// Longest ordinary text. The sources give none; a line of an address is far shorter.
const TEXT_CHARS_MAX: usize = 256;
/// Longest path or address of a resource.
pub(super) const LONG_CHARS_MAX: usize = 2_048;
/// Longest free text.
const NOTE_CHARS_MAX: usize = 1_024;
/// How much of a customer's wrong word an answer repeats.
const EXCERPT_CHARS: usize = 64;

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Checks(pub(super) Vec<Problem>);

impl Checks {
    pub(super) fn add(&mut self, target: &str, code: ProblemCode, message: &str) {
        self.0.push(Problem { target: target.to_owned(), code, message: message.to_owned() });
    }

    /// A text that may be empty.
    pub(super) fn text(&mut self, target: &str, text: &str, chars_max: usize) {
        if text.chars().count() > chars_max {
            self.add(target, ProblemCode::TooLong, &format!("at most {chars_max} characters"));
        } else if text.chars().any(char::is_control) {
            self.add(target, ProblemCode::Invalid, "no control characters");
        }
    }

    /// A text that may not be empty.
    pub(super) fn required(&mut self, target: &str, text: &str, chars_max: usize) {
        if text.trim().is_empty() {
            self.add(target, ProblemCode::Missing, "required and empty");
        } else {
            self.text(target, text, chars_max);
        }
    }
}

/// The beginning of a text, for an answer that must stay short.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}

pub(super) fn check_return_address(address: &ReturnAddress, checks: &mut Checks) {
    let path = |field: &str| format!("properties.returnAddress.{field}");
    let required = [
        ("recipientName", &address.recipient_name),
        ("streetAddress1", &address.street_address1),
        ("city", &address.city),
        ("postalCode", &address.postal_code),
        ("countryOrRegion", &address.country_or_region),
        ("phone", &address.phone),
        ("email", &address.email),
    ];
    for (field, text) in required {
        checks.required(&path(field), text, TEXT_CHARS_MAX);
    }
    checks.text(&path("streetAddress2"), &address.street_address2, TEXT_CHARS_MAX);
    checks.text(&path("stateOrProvince"), address.state_or_province.as_deref().unwrap_or(""), TEXT_CHARS_MAX);
    if !address.email.trim().is_empty() && !address.email.contains('@') {
        checks.add(&path("email"), ProblemCode::Invalid, "a mail address has an @");
    }
}

pub(super) fn check_return_shipping(shipping: Option<&ReturnShipping>, checks: &mut Checks) {
    let Some(shipping) = shipping else { return };
    checks.required("properties.returnShipping.carrierName", &shipping.carrier_name, TEXT_CHARS_MAX);
    let account = &shipping.carrier_account_number;
    checks.required("properties.returnShipping.carrierAccountNumber", account, TEXT_CHARS_MAX);
}

pub(super) fn check_shipping_information(information: Option<&ShippingInformation>, checks: &mut Checks) {
    let Some(information) = information else { return };
    let fields = [
        ("recipientName", &information.recipient_name),
        ("streetAddress1", &information.street_address1),
        ("streetAddress2", &information.street_address2),
        ("city", &information.city),
        ("stateOrProvince", &information.state_or_province),
        ("postalCode", &information.postal_code),
        ("countryOrRegion", &information.country_or_region),
        ("phone", &information.phone),
        ("additionalInformation", &information.additional_information),
    ];
    for (field, text) in fields {
        checks.text(&format!("properties.shippingInformation.{field}"), text, NOTE_CHARS_MAX);
    }
}

pub(super) fn check_delivery(package: Option<&DeliveryPackage>, in_use: bool, checks: &mut Checks) {
    let Some(package) = package else { return };
    let number = "properties.deliveryPackage.trackingNumber";
    checks.required("properties.deliveryPackage.carrierName", &package.carrier_name, TEXT_CHARS_MAX);
    checks.required(number, &package.tracking_number, TEXT_CHARS_MAX);
    checks.text(
        "properties.deliveryPackage.shipDate",
        package.ship_date.as_deref().unwrap_or(""),
        TEXT_CHARS_MAX,
    );
    if in_use {
        let message = "another active job has this tracking number; when one parcel holds several jobs' drives, add -1, -2, …";
        checks.add(number, ProblemCode::InUse, message);
    }
}
