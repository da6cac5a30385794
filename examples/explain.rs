//! Says why a token is accepted or refused: which step, what was expected and what was found, and
//! what to do about it.
//!
//! ```text
//! explain id-token --issuer https://login.microsoftonline.com/{tenant}/v2.0 --client-id … \
//!     --nonce … --jwks keys.json token.txt
//! ```
//!
//! The exit status is 0 for what is accepted, 1 for what is refused, 2 for a question that cannot
//! be answered. With `--batch` it reads one question a line from standard input, as JSON with `id`
//! and `kind`, and writes one answer a line, until the input ends.

#[path = "explain/id_token.rs"]
mod id_token;

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.subject {
        Some(Subject::IdToken(question)) => id_token::explain(&question).await,
        None => batch().await.map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", entra_examples::explained(&*error));
            ExitCode::from(2)
        }
    }
}

/// Says why a token is accepted or refused.
#[derive(clap::Parser)]
#[command(arg_required_else_help = true, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Answer questions from standard input, one a line.
    #[arg(long, required = true)]
    batch: bool,
    #[command(subcommand)]
    subject: Option<Subject>,
}

#[derive(clap::Subcommand)]
enum Subject {
    /// An ID token.
    IdToken(id_token::Question),
}

type Failure = Box<dyn std::error::Error>;

async fn batch() -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        writeln!(output, "{}", answer_line(&line).await)?;
    }
    Ok(output.flush()?)
}

/// No line is worth stopping for.
async fn answer_line(line: &[u8]) -> Value {
    let question: Value = match serde_json::from_slice(line) {
        Ok(question) => question,
        Err(error) => return json!({"id": null, "error": error.to_string()}),
    };
    let id = question.get("id").cloned().unwrap_or_default();
    let mut answer = match answer(question).await {
        Ok(answer) => answer,
        Err(error) => json!({"error": error.to_string()}),
    };
    answer["id"] = id;
    answer
}

async fn answer(question: Value) -> Result<Value, Failure> {
    match question.get("kind").and_then(Value::as_str) {
        Some("id-token") => id_token::answer(question).await,
        Some(kind) => Err(format!("there is no kind {kind:?}").into()),
        None => Err("the question has no kind".into()),
    }
}
