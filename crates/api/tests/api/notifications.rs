//! What client authors read.

use serde_json::Value;

use crate::helpers::config_dir;
use crate::live::{CLIENT_MESSAGE, SERVER_MESSAGE, assert_documented};

#[test]
fn every_example_of_the_documentation_is_as_the_schema_has_it() {
    let path = config_dir().join("../docs/NOTIFICATIONS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut examples = 0;
    for example in text.split("```json\n").skip(1) {
        let json = example.split("```").next().unwrap();
        let message: Value = serde_json::from_str(json).unwrap();
        let is_of_the_service = message.get("version").is_some();
        let definition = if is_of_the_service {
            &SERVER_MESSAGE
        } else {
            &CLIENT_MESSAGE
        };
        assert_documented(definition, &message);
        examples += 1;
    }
    assert_eq!(examples, 8);
}
