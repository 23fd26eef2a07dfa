//! An error as people read it: `error[kind]: what`, the place with a caret, and what to do.

use std::borrow::Cow;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::printer::{BAD, HINT};
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::Error;

pub(super) fn render(error: &Error, coloured: bool) -> String {
    let diagnostics = error.diagnostics();
    if diagnostics.is_empty() {
        return plain(error);
    }
    let mut blocks: Vec<String> = diagnostics.iter().map(|diagnostic| snippet(diagnostic, coloured)).collect();
    if diagnostics.len() > 1 {
        blocks.push(format!("{BAD}error{BAD:#}: {}", error.message()));
    }
    let mut text = blocks.join("\n\n");
    for (key, value) in error.context() {
        text.push_str(&format!("\n  = {key}: {}", shown(value)));
    }
    text
}

fn plain(error: &Error) -> String {
    let mut text = format!("{BAD}error[{}]{BAD:#}: {}", error.kind().code(), shown(error.message()));
    for (key, value) in error.context() {
        text.push_str(&format!("\n  = {key}: {}", shown(value)));
    }
    for cause in error.causes() {
        text.push_str(&format!("\n  = because: {}", shown(&cause)));
    }
    for help in error.help() {
        text.push_str(&format!("\n  = {HINT}help{HINT:#}: {}", shown(help)));
    }
    text
}

/// What a terminal would obey is escaped: a message may quote what an API or a connector said.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut escaped = String::new();
    for c in text.chars() {
        if is_obeyed(c) { escaped.extend(c.escape_unicode()) } else { escaped.push(c) }
    }
    escaped.into()
}

pub(super) fn snippet(diagnostic: &Diagnostic, coloured: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let mut group = match &diagnostic.place {
        Some(place) => {
            let end = place.source.len();
            let span = place.span.start.min(end)..place.span.end.min(end);
            let annotation = AnnotationKind::Primary.span(span);
            let annotation = match &diagnostic.label {
                Some(label) => annotation.label(label.as_str()),
                None => annotation,
            };
            title.element(Snippet::source(place.source.as_ref()).path(place.file.as_str()).annotation(annotation))
        }
        None => Group::with_title(title),
    };
    for help in diagnostic.help.iter().flat_map(|help| help.lines()) {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}
