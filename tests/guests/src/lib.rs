//! A malicious connector. Its configuration (`script`) says where it strikes and how, so that one component makes every
//! attack; next to the stream `bad` there is always a stream `good`, whose three records must arrive whatever happens.
//!
//! Must never be needed by anything but the tests. Empty unless built for WebAssembly.
#![cfg(target_family = "wasm")]
#![expect(clippy::unwrap_used, reason = "a malicious connector may crash")]

mod request;
mod script;
mod strike;

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;

use bindings::airlock::connector::{log, types};
use bindings::exports::airlock::connector::source;
use script::Script;

mod bindings {
    #![expect(unsafe_code, reason = "generated from the WIT")]

    wit_bindgen::generate!({ path: "../../wit", world: "connector" });

    export!(Component);

    use super::Component;
}

struct Component;

/// `describe` gets no configuration: a test that wants it to strike writes another word into the component's bytes.
static IN_DESCRIBE: [u8; 32] = *b"in describe: nothing            ";

impl source::Guest for Component {
    type Connection = Connection;
    type Reader = Reader;

    fn describe() -> source::Description {
        let switch = black_box(IN_DESCRIBE);
        let word = str::from_utf8(&switch["in describe: ".len()..]).unwrap().trim_end();
        let mut schema = r#"{"properties": {"typed": {"writeOnly": true}}}"#.to_owned();
        match word {
            "nothing" => {}
            "a branching" => schema = r##"{"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]}"##.to_owned(),
            "a deep" => schema = format!("{}true{}", "[".repeat(1000), "]".repeat(1000)),
            "a huge" => schema = format!("{{\"title\": \"{}\"}}", "x".repeat(20 << 20)),
            "a chain" => {
                let links =
                    (0..100_000).map(|number| format!("\"d{number}\": {{\"$ref\": \"#/$defs/d{}\"}}", number + 1));
                let links = links.collect::<Vec<_>>().join(", ");
                schema = format!("{{\"$ref\": \"#/$defs/d0\", \"$defs\": {{{links}}}}}");
            }
            "a wide" => {
                let branches = vec!["{\"additionalProperties\": {}}"; 20_000].join(", ");
                schema = format!("{{\"anyOf\": [{branches}]}}");
            }
            "a far" => {
                schema = format!("{{\"additionalProperties\": {{\"$ref\": \"#{}\"}}}}", "/x".repeat(2 << 20));
            }
            word => strike::strike(word),
        }
        source::Description {
            name: "guests\u{1b}[31m".to_owned(),
            version: "0.0.0".to_owned(),
            summary: "A malicious connector.".to_owned(),
            config_schema: schema,
        }
    }
}

struct Connection(Rc<Script>);

impl source::GuestConnection for Connection {
    fn open(config: String) -> Result<source::Connection, types::Error> {
        let script = Rc::new(Script::parse(&config));
        for message in &script.log {
            log::write(log::Level::Warning, message);
        }
        script.at("open")?;
        Ok(source::Connection::new(Self(script)))
    }

    fn grants(&self) -> Vec<source::Grant> {
        // It can return no error; a strike is a strike.
        let _ = self.0.at("grants");
        self.0.grants()
    }

    fn streams(&self) -> Result<Vec<source::Stream>, types::Error> {
        self.0.at("streams")?;
        Ok(self.0.streams())
    }

    fn check(&self) -> Result<(), types::Error> {
        self.0.at("check")
    }

    fn explain(&self) -> Result<String, types::Error> {
        self.0.at("explain")?;
        Ok(self.0.explain.clone().unwrap_or_else(|| "[]".to_owned()))
    }

    fn partitions(
        &self,
        stream: String,
        _parents: Option<types::Records>,
    ) -> Result<Vec<source::Partition>, types::Error> {
        let partition = |id: String| source::Partition { id, data: "{}".to_owned() };
        if stream == "good" {
            return Ok(vec![partition("all".to_owned())]);
        }
        self.0.at("partitions")?;
        let id = |number: usize| format!("{number}{}", self.0.partition_id.build(number));
        Ok((0..self.0.partitions.unwrap_or(1)).map(|number| partition(id(number))).collect())
    }

    fn read(
        &self,
        stream: String,
        _partition: source::Partition,
        _checkpoint: Option<String>,
    ) -> Result<source::Reader, types::Error> {
        if stream != "good" {
            self.0.at("read")?;
        }
        Ok(source::Reader::new(Reader { script: self.0.clone(), good: stream == "good", position: Cell::new(0) }))
    }
}

struct Reader {
    script: Rc<Script>,
    good: bool,
    position: Cell<usize>,
}

impl source::GuestReader for Reader {
    fn next(&self) -> Result<Option<source::Page>, types::Error> {
        let position = self.position.replace(self.position.get() + 1);
        if self.good {
            let records = br#"[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}]"#.to_vec();
            let page = || source::Page {
                records: types::Records::JsonArray(records),
                checkpoint: Some(r#"{"done": true}"#.to_owned()),
                last: false,
            };
            return Ok((position == 0).then(page));
        }
        if position >= self.script.strike_at_page {
            self.script.at("next")?;
        }
        self.script.page(position)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.good {
            // There is nobody to tell.
            let _ = self.script.at("drop");
        }
    }
}
