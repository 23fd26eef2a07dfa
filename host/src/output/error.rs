//! An error as people read it: `error[kind]: what`, the place with a caret, and what to do.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::escape::{of_same_length, shown};
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
        blocks.push(format!("{BAD}error{BAD:#}: {}", shown(error.message())));
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

pub(super) fn snippet(diagnostic: &Diagnostic, coloured: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let (message, code) = (shown(&diagnostic.message), shown(&diagnostic.code));
    let title = level.primary_title(message.as_ref()).id(code.as_ref());
    let source = diagnostic.place.as_ref().map(|place| of_same_length(&place.source)).unwrap_or_default();
    let file = diagnostic.place.as_ref().map(|place| shown(&place.file)).unwrap_or_default();
    let label = diagnostic.label.as_deref().map(shown);
    let help = diagnostic.help.as_deref().map(shown);
    let mut group = match &diagnostic.place {
        Some(place) => {
            let end = place.source.len();
            let span = place.span.start.min(end)..place.span.end.min(end);
            let annotation = AnnotationKind::Primary.span(span);
            let annotation = match &label {
                Some(label) => annotation.label(label.as_ref()),
                None => annotation,
            };
            title.element(Snippet::source(source.as_ref()).path(file.as_ref()).annotation(annotation))
        }
        None => Group::with_title(title),
    };
    for help in help.iter().flat_map(|help| help.lines()) {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}
