//! The grammar of `$filter`, as far as directory objects support it (OData 4.01, ABNF
//! `boolCommonExpr`).

use serde_json::Value;

use super::error::GraphError;
use super::filter::{Comparison, Filter, Operand};
use crate::tenant::parse_time;

/// Reads a condition.
pub(super) fn parse(text: &str) -> Result<Filter, GraphError> {
    let mut parser = Parser {
        tokens: tokenize(text)?,
        position: 0,
        variable: None,
    };
    let filter = parser.or()?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.error()),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Colon,
    /// A constant in quotes.
    Quoted(String),
    /// Everything else: operators, paths, constants without quotes.
    Word(String),
}

fn tokenize(text: &str) -> Result<Vec<Token>, GraphError> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            '\'' => {
                let mut quoted = String::new();
                loop {
                    match rest.next() {
                        Some('\'') if rest.next_if_eq(&'\'').is_some() => quoted.push('\''),
                        Some('\'') => break,
                        Some(c) => quoted.push(c),
                        None => return Err(syntax(text)),
                    }
                }
                tokens.push(Token::Quoted(quoted));
            }
            c => {
                let mut word = String::from(c);
                let ends = |c: &char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '\'');
                while let Some(c) = rest.next_if(|c| !ends(c)) {
                    word.push(c);
                }
                push_word(&mut tokens, word);
            }
        }
    }
    Ok(tokens)
}

/// `x:x` in `any(x:x eq 'a')` is three tokens, a time is one.
fn push_word(tokens: &mut Vec<Token>, word: String) {
    match word.split_once(':') {
        Some((variable, rest)) if variable.chars().all(char::is_alphabetic) => {
            if !variable.is_empty() {
                tokens.push(Token::Word(variable.to_owned()));
            }
            tokens.push(Token::Colon);
            if !rest.is_empty() {
                tokens.push(Token::Word(rest.to_owned()));
            }
        }
        _ => tokens.push(Token::Word(word)),
    }
}

fn syntax(near: &str) -> GraphError {
    GraphError::malformed(format!(
        "Invalid filter clause: There is a syntax error near '{near}'."
    ))
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    variable: Option<String>,
}

impl Parser {
    fn or(&mut self) -> Result<Filter, GraphError> {
        let mut left = self.and()?;
        while self.accept_word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Filter, GraphError> {
        let mut left = self.unary()?;
        while self.accept_word("and") {
            left = Filter::And(Box::new(left), Box::new(self.unary()?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Filter, GraphError> {
        if self.accept_word("not") {
            return Ok(Filter::Not(Box::new(self.unary()?)));
        }
        if self.accept(&Token::Open) {
            let inner = self.or()?;
            self.expect(&Token::Close)?;
            return Ok(inner);
        }
        let Some(Token::Word(word)) = self.next() else {
            return Err(self.error());
        };
        if self.accept(&Token::Open) {
            return self.function(&word);
        }
        let operand = self.operand(&word);
        self.comparison(operand)
    }

    fn function(&mut self, name: &str) -> Result<Filter, GraphError> {
        let is_any = name
            .len()
            .checked_sub(4)
            .and_then(|at| name.split_at_checked(at))
            .filter(|(_, end)| end.eq_ignore_ascii_case("/any"));
        if let Some((path, _)) = is_any {
            return self.any(path);
        }
        let name = name.to_ascii_lowercase();
        if name != "startswith" && name != "endswith" {
            return Err(GraphError::unsupported_query(format!(
                "Unsupported or invalid query filter clause: function '{name}' is not supported."
            )));
        }
        let Some(Token::Word(path)) = self.next() else {
            return Err(self.error());
        };
        let operand = self.operand(&path);
        self.expect(&Token::Comma)?;
        let Some(Token::Quoted(text)) = self.next() else {
            return Err(self.error());
        };
        self.expect(&Token::Close)?;
        let text = text.to_lowercase();
        let filter = if name == "startswith" {
            Filter::StartsWith(operand, text)
        } else {
            Filter::EndsWith(operand, text)
        };
        // OData also writes `startswith(a,'b') eq true`.
        if self.accept_word("eq") {
            return match self.next() {
                Some(Token::Word(word)) if word == "true" => Ok(filter),
                Some(Token::Word(word)) if word == "false" => Ok(Filter::Not(Box::new(filter))),
                _ => Err(self.error()),
            };
        }
        Ok(filter)
    }

    fn any(&mut self, path: &str) -> Result<Filter, GraphError> {
        let operand = self.operand(path);
        if self.accept(&Token::Close) {
            return Ok(Filter::Any(operand, None));
        }
        let Some(Token::Word(variable)) = self.next() else {
            return Err(self.error());
        };
        self.expect(&Token::Colon)?;
        self.variable = Some(variable);
        let inner = self.or()?;
        self.variable = None;
        self.expect(&Token::Close)?;
        Ok(Filter::Any(operand, Some(Box::new(inner))))
    }

    fn comparison(&mut self, operand: Operand) -> Result<Filter, GraphError> {
        let Some(Token::Word(operator)) = self.next() else {
            return Err(self.error());
        };
        let comparison = match operator.to_ascii_lowercase().as_str() {
            "eq" => Comparison::Equal,
            "ne" => Comparison::NotEqual,
            "gt" => Comparison::Greater,
            "ge" => Comparison::GreaterOrEqual,
            "lt" => Comparison::Less,
            "le" => Comparison::LessOrEqual,
            "in" => return self.list(operand),
            _ => return Err(self.error()),
        };
        Ok(Filter::Compare(operand, comparison, self.constant()?))
    }

    fn list(&mut self, operand: Operand) -> Result<Filter, GraphError> {
        self.expect(&Token::Open)?;
        let mut constants = vec![self.constant()?];
        while self.accept(&Token::Comma) {
            constants.push(self.constant()?);
        }
        self.expect(&Token::Close)?;
        Ok(Filter::In(operand, constants))
    }

    fn constant(&mut self) -> Result<Value, GraphError> {
        match self.next() {
            Some(Token::Quoted(text)) => Ok(Value::String(text)),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                "null" => Ok(Value::Null),
                word if uuid::Uuid::try_parse(word).is_ok() || parse_time(word).is_some() => {
                    Ok(Value::String(word.to_owned()))
                }
                word => word
                    .parse::<i64>()
                    .map(Value::from)
                    .map_err(|_| self.error()),
            },
            _ => Err(self.error()),
        }
    }

    fn operand(&self, path: &str) -> Operand {
        let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
        if names.first() == self.variable.as_ref() && self.variable.is_some() {
            names.remove(0);
            return Operand::Item(names);
        }
        if names.last().is_some_and(|name| name == "$count") {
            names.pop();
            return Operand::Count(names);
        }
        Operand::Path(names)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).cloned();
        self.position += 1;
        token
    }

    fn accept(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.position += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.position += usize::from(found);
        found
    }

    fn expect(&mut self, token: &Token) -> Result<(), GraphError> {
        if self.accept(token) {
            Ok(())
        } else {
            self.position += 1;
            Err(self.error())
        }
    }

    /// Names the token that was read last.
    fn error(&self) -> GraphError {
        let at = self.position.saturating_sub(1);
        match self.tokens.get(at) {
            Some(Token::Word(word) | Token::Quoted(word)) => syntax(word),
            Some(Token::Open) => syntax("("),
            Some(Token::Close) => syntax(")"),
            Some(Token::Comma) => syntax(","),
            Some(Token::Colon) => syntax(":"),
            None => syntax("end"),
        }
    }
}
