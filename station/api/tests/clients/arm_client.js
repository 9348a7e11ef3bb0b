"use strict";
// Drives the station's job API with the official Import/Export client and prints what the client saw, as JSON.
//
// node arm_client.js CLIENT_FILE BASE_URL TOKEN SUBSCRIPTION API_VERSION STORAGE_ACCOUNT_ID
//
// CLIENT_FILE is @azure/arm-storageimportexport's entry, which speaks 2021-01-01 unless told otherwise. The client
// sends a bearer token only over https; NODE_EXTRA_CA_CERTS names the authority that the server's certificate is of.
// Asserts nothing: `check` in mod.rs compares what is printed here and by arm_client.py.

const [clientFile, baseUrl, token, subscription, version, account] = process.argv.slice(2);
const { StorageImportExport } = require(clientFile);

const GROUP = "Clients";
const KEY = "238810-662376-448998-450120-652806-203390-606320-483076";

const address = (changes = {}) => ({
  recipientName: "Test",
  streetAddress1: "Example Street 1",
  city: "Example City",
  stateOrProvince: "EX",
  postalCode: "00001",
  countryOrRegion: "Exampleland",
  phone: "000",
  email: "test@example.com",
  ...changes,
});

const importJob = (location, drive, changes = {}) => ({
  location,
  properties: {
    storageAccountId: account,
    jobType: "Import",
    returnAddress: address(),
    returnShipping: { carrierName: "FedEx", carrierAccountNumber: "989ffff" },
    driveList: [
      {
        driveId: drive,
        bitLockerKey: KEY,
        manifestFile: "\\DriveManifest.xml",
        manifestHash: "109B21108597EF36D5785F08303F3638",
        driveHeaderHash: "",
      },
    ],
    ...changes,
  },
});

const exportJob = (location) => ({
  location,
  properties: {
    storageAccountId: account,
    jobType: "Export",
    returnAddress: address(),
    export: { blobPathPrefix: ["/"] },
  },
});

/** What the client makes of a refusal. */
async function refused(call) {
  try {
    await call();
  } catch (refusal) {
    const details = (refusal.details && (refusal.details.details || (refusal.details.error || {}).details)) || [];
    return { status: refusal.statusCode, code: refusal.code, targets: details.map((detail) => detail.target) };
  }
  return { status: 0, code: "", targets: [] };
}

/** A job as the client reads it, cut to what both clients have. */
function jobOf(job) {
  const details = job.properties;
  const or = (value) => (value === undefined ? null : value);
  return {
    id: job.id,
    name: job.name,
    type: job.type,
    location: job.location,
    jobType: details.jobType,
    state: details.state,
    logLevel: details.logLevel,
    cancelRequested: details.cancelRequested,
    provisioningState: details.provisioningState,
    city: details.returnAddress.city,
    shipTo: details.shippingInformation.city,
    trackingNumber: details.deliveryPackage ? details.deliveryPackage.trackingNumber : null,
    prefixes: details.export ? details.export.blobPathPrefix : null,
    drives: (details.driveList || []).map((drive) => ({
      driveId: drive.driveId,
      state: drive.state,
      manifestFile: drive.manifestFile,
      driveHeaderHash: or(drive.driveHeaderHash),
      bitLockerKey: or(drive.bitLockerKey),
    })),
  };
}

async function names(pages) {
  const found = [];
  for await (const job of pages) found.push(job.name);
  return found;
}

function clientWith(token) {
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600000 }) };
  // A refusal is to be seen, not tried again.
  const options = { endpoint: baseUrl, $host: baseUrl, retryOptions: { maxRetries: 0 } };
  if (version !== "default") options.apiVersion = version;
  return new StorageImportExport(credential, subscription, options);
}

async function main() {
  const client = clientWith(token);
  const seen = {};
  seen.operations = (await names(client.operations.list())).sort();
  const locations = [];
  for await (const location of client.locations.list()) locations.push(location);
  const first = locations[0];
  seen.locations = locations.map((location) => location.name);
  seen.location = [];
  for (const name of [first.name, first.id.split("/").pop()]) {
    seen.location.push((await client.locations.get(name)).id);
  }
  seen.noLocation = await refused(() => client.locations.get("nowhere"));

  seen.created = jobOf(await client.jobs.create("ImportOne", GROUP, importJob(first.name, "9CA995BB")));
  const verbose = importJob(first.name, "9CA995BB", { logLevel: "Verbose" });
  seen.again = jobOf(await client.jobs.create("importone", GROUP, verbose));
  seen.export = jobOf(await client.jobs.create("exportOne", GROUP, exportJob(first.name)));
  for (let number = 0; number < 3; number++) {
    await client.jobs.create(`more-${number}`, GROUP, importJob(first.name, `MORE${number}`));
  }
  const wrong = importJob(first.name, "WITH SPACE", { returnAddress: address({ email: "nobody" }) });
  seen.invalid = await refused(() => client.jobs.create("wrong", GROUP, wrong));
  seen.got = jobOf(await client.jobs.get("IMPORTONE", GROUP.toLowerCase()));
  seen.listed = await names(client.jobs.listBySubscription({ top: 2 }));
  seen.listedInGroup = await names(client.jobs.listByResourceGroup(GROUP, { top: 1 }));
  seen.pages = [];
  for await (const page of client.jobs.listByResourceGroup(GROUP, { top: 2 }).byPage()) {
    seen.pages.push(page.map((job) => job.name));
  }
  seen.filtered = await names(client.jobs.listBySubscription({ filter: "properties/jobType eq 'Export'" }));
  seen.badFilter = await refused(() => names(client.jobs.listBySubscription({ filter: "colour eq 'red'" })));
  seen.keys = [];
  for await (const key of client.bitLockerKeys.list("ImportOne", GROUP)) {
    seen.keys.push([key.driveId, key.bitLockerKey]);
  }

  const deliveryPackage = { carrierName: "FedEx", trackingNumber: "123", driveCount: 1, shipDate: "2026/03/01" };
  const update = (name, change) => client.jobs.update(name, GROUP, change);
  seen.tracked = jobOf(await update("ImportOne", { deliveryPackage }));
  seen.unchanged = jobOf(await update("exportOne", { state: "", logLevel: "Error" }));
  seen.shipped = jobOf(await update("ImportOne", { state: "Shipping" }));
  seen.notDeleted = await refused(() => client.jobs.delete("ImportOne", GROUP));
  seen.cancelled = jobOf(await update("more-0", { cancelRequested: true }));
  seen.notUncancelled = await refused(() => update("more-0", { cancelRequested: false }));
  const nothing = await client.jobs.delete("more-0", GROUP);
  seen.deleted = JSON.stringify(nothing ?? {}) === "{}" ? null : nothing;
  seen.gone = await refused(() => client.jobs.get("more-0", GROUP));
  seen.stranger = await refused(() => clientWith("not-a-token").jobs.get("ImportOne", GROUP));
  process.stdout.write(JSON.stringify(seen));
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
