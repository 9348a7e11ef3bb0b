//! Azure's own clients drive a station that serves: over TLS, with a token that its command line made.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use system_tests::house::House;
use system_tests::http::address;
use system_tests::program::run;

#[path = "../../../../station/api/tests/clients/mod.rs"]
mod azures;

use azures::{Door, check};

/// With the locations that the clients look for.
fn locations() -> String {
    let location = |name: &str, more: &str| {
        format!(
            "[[locations]]\nname = \"{name}\"\nrecipient_name = \"Example Station\"\n\
             street_address1 = \"Example Street 1\"\ncity = \"Example City\"\nstate_or_province = \"EX\"\n\
             postal_code = \"00001\"\ncountry_or_region = \"Exampleland\"\nphone = \"000\"\n\
             supported_carriers = [\"FedEx\", \"DHL\"]\n{more}"
        )
    };
    location("Example North", "") + &location("Example South", "alternate_locations = [\"Example North\"]\n")
}

/// A station with a certificate for 127.0.0.1.
fn house() -> Result<House> {
    let made: CertifiedKey<_> = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let house = House::named("example", |house| {
        let (certificate, key) = (house.at("chain.pem"), house.at("key.pem"));
        let tls = format!("tls = {{ certificate = {certificate:?}, key = {key:?} }}\n");
        ["[[server.listen]]\naddress = \"127.0.0.1:0\"\n", &tls, &locations()].concat()
    })?;
    fs::write(house.at("chain.pem"), made.cert.pem())?;
    fs::write(house.at("key.pem"), made.signing_key.serialize_pem())?;
    fs::set_permissions(house.at("key.pem"), fs::Permissions::from_mode(0o600))?;
    Ok(house)
}

/// Each client in its own api-version; the others are the API's own tests' business.
#[test]
fn azures_own_clients_do_every_operation_at_a_station_that_serves() -> Result<()> {
    for client in ["Python", "Node"] {
        let house = house()?;
        let station = house.serve()?;
        let (token, _) = house.token("admin")?;
        let (url, trusted) = (format!("https://{}", address(&station)?), house.at("chain.pem"));
        let door = Door { url: &url, trusted: &trusted, token: &token };
        let program = if client == "Python" { door.python("2016-11-01") } else { door.node("default") };
        let Some(mut program) = program else {
            let test = "azures_own_clients_do_every_operation_at_a_station_that_serves";
            rig::skipped(test, &format!("the {client} client is not installed"));
            continue;
        };
        let ended = run(&mut program)?;
        ensure!(ended.code == Some(0), "the {client} client: {ended:?}");
        check(serde_json::from_str(&ended.stdout).context("the client prints JSON")?, client);
        station.terminate()?;
        ensure!(station.wait()?.code == Some(0), "it stops");
    }
    Ok(())
}
