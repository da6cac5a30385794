//! What the example shows: headings, tables, a progress bar.

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use comfy_table::{Cell, Color, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use entra_core::{Finding, Outcome};
use entra_graph::{IssuedSecret, LinkHost, Progress};
use indicatif::ProgressStyle;

pub fn heading(text: &str) {
    println!("\n── {text} ──");
}

/// An error with its causes, and what can be done about it.
pub fn report(error: &(dyn Error + 'static)) {
    eprintln!("\nerror: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        eprintln!("  because: {source}");
        cause = source.source();
    }
    if let Some(error) = error.downcast_ref::<entra_graph::Error>() {
        eprintln!("  -> {}", error.admin_hint());
    } else if let Some(error) = error.downcast_ref::<entra_core::Error>() {
        eprintln!("  -> {}", error.admin_hint());
    }
}

pub fn findings_table(findings: &[Finding]) -> Table {
    let mut table = new_table(["check", "outcome", "what was seen", "remedy"]);
    for finding in findings {
        let color = match finding.outcome {
            Outcome::Passed => Color::Green,
            Outcome::Warning => Color::Yellow,
            Outcome::Failed => Color::Red,
            _ => Color::Grey,
        };
        table.add_row([
            Cell::new(&finding.check),
            Cell::new(finding.outcome).fg(color),
            Cell::new(&finding.detail),
            Cell::new(finding.remedy.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

pub fn objects_table(rows: &[[String; 3]]) -> Table {
    let mut table = new_table(["kind", "name", "detail"]);
    for row in rows {
        table.add_row(row);
    }
    table
}

fn new_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

/// Shows the steps of an apply, and keeps the client secret: a product would put it into its
/// vault here, before it returns.
#[derive(Debug)]
pub struct ProgressBar {
    bar: indicatif::ProgressBar,
    secret: Mutex<Option<IssuedSecret>>,
}

impl Default for ProgressBar {
    fn default() -> Self {
        let bar = indicatif::ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self {
            bar,
            secret: Mutex::new(None),
        }
    }
}

impl ProgressBar {
    pub fn finish(&self) {
        self.bar.finish_with_message("done");
    }

    pub fn secret(&self) -> Option<IssuedSecret> {
        self.secret
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[async_trait::async_trait]
impl LinkHost for ProgressBar {
    fn progress(&self, progress: &Progress) {
        self.bar
            .set_length(u64::try_from(progress.steps).unwrap_or(u64::MAX));
        self.bar
            .set_position(u64::try_from(progress.step).unwrap_or(u64::MAX));
        self.bar.set_message(progress.what);
    }

    async fn keep_secret(&self, secret: &IssuedSecret) -> Result<(), Box<dyn Error + Send + Sync>> {
        *self.secret.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret.clone());
        Ok(())
    }
}
