//! An error as people read it: `error[kind]: what`, the place with a caret, and what to do.

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
    blocks.join("\n\n")
}

fn plain(error: &Error) -> String {
    let mut text = format!("{BAD}error[{}]{BAD:#}: {}", error.kind().code(), error.message());
    for (key, value) in error.context() {
        text.push_str(&format!("\n  = {key}: {value}"));
    }
    for cause in error.causes() {
        text.push_str(&format!("\n  = because: {cause}"));
    }
    for help in error.help() {
        text.push_str(&format!("\n  = {HINT}help{HINT:#}: {help}"));
    }
    text
}

fn snippet(diagnostic: &Diagnostic, coloured: bool) -> String {
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
