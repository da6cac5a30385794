//! The company itself (Learn, "organization resource type").

use super::error::GraphError;
use super::list::{self as collection, Rows};
use super::{Answer, Exchange};
use crate::tenant::Kind;

pub(crate) fn list(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let rows = Rows::Table(KIND, exchange.tenant.rows(KIND));
    collection::answer(exchange, &rows)
}

pub(crate) fn get(exchange: &mut Exchange<'_>) -> Result<Answer, GraphError> {
    let organization = exchange.subject(KIND)?;
    exchange.single(KIND, organization).map(Answer::Object)
}

const KIND: Kind = Kind::Organization;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::graph::testing::Desk;

    #[test]
    fn the_organization_names_its_verified_domains() {
        let mut desk = Desk::new();
        let path = "/organization?$select=id,verifiedDomains,tenantType";
        let organization = &desk.ok("GET", path, Value::Null)["value"][0];
        assert_eq!(organization["id"], desk.tenant.id());
        let domains = organization["verifiedDomains"].as_array().unwrap();
        let names: Vec<_> = domains.iter().map(|domain| &domain["name"]).collect();
        assert_eq!(
            names,
            [
                "alpenglow.onmicrosoft.com",
                "alpenglow.example",
                "alpenglow-works.example"
            ]
        );
    }

    #[test]
    fn domains_tell_who_signs_their_users_in() {
        let mut desk = Desk::new();
        let federated = desk.ok("GET", "/domains/alpenglow-works.example", Value::Null);
        assert_eq!(federated["authenticationType"], "Federated");
        let unverified = desk.ok("GET", "/domains/alpenglow-shop.example", Value::Null);
        assert_eq!(unverified["isVerified"], json!(false));
        assert_eq!(desk.get("/domains/elsewhere.example").0, 404);
    }
}
