// Whether docs/asyncapi.json is what AsyncAPI's own schema says, and its references lead somewhere.
// `make test-clients` installs what it needs.

const fs = require("node:fs");
const path = require("node:path");
const Ajv = require("ajv");

const file = path.join(__dirname, "../docs/asyncapi.json");
const read = (name) => JSON.parse(fs.readFileSync(name, "utf8"));
const document = read(file);

// Its schema brings that of JSON Schema along.
const ajv = new Ajv({ meta: false, validateSchema: false, strict: false, allErrors: true, validateFormats: false });
const validate = ajv.compile(read(require.resolve(`@asyncapi/specs/schemas/${document.asyncapi}.json`)));
const faults = validate(document) ? [] : validate.errors.map((one) => `${one.instancePath} ${one.message}`);

const leadsSomewhere = (to) => {
  const [name, pointer] = to.split("#");
  const names = pointer.split("/").slice(1).map((one) => one.replaceAll("~1", "/").replaceAll("~0", "~"));
  const found = name ? read(path.resolve(path.dirname(file), name)) : document;
  return names.reduce((value, name) => value?.[name], found) !== undefined;
};
const follow = (value) => {
  if (typeof value !== "object" || value === null) return;
  if (typeof value.$ref === "string" && !leadsSomewhere(value.$ref)) faults.push(`${value.$ref} leads nowhere`);
  Object.values(value).forEach(follow);
};
follow(document);

faults.forEach((fault) => console.error(`asyncapi.json: ${fault}`));
process.exitCode = faults.length ? 1 : 0;
