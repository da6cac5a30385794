use entra_graph::{Permission, PermissionCatalog};
use serde_json::json;

use crate::fake::{Fake, json, refusal};

#[tokio::test]
async fn permissions_come_from_the_tenant() {
    let fake = Fake::script([json(
        200,
        &json!({
            "id": "00000000-0000-0000-0000-0000000000aa",
            "appRoles": [
                {"id": "00000000-0000-0000-0000-000000000001", "value": "Brand.New.All",
                    "allowedMemberTypes": ["Application"], "isEnabled": true},
                {"id": "00000000-0000-0000-0000-000000000002", "value": "For.Users.Only",
                    "allowedMemberTypes": ["User"]},
            ],
            "oauth2PermissionScopes": [
                {"id": "00000000-0000-0000-0000-000000000003", "value": "Brand.New.All"},
            ],
        }),
    )]);
    let catalog = PermissionCatalog::read(&fake.client()).await.unwrap();
    assert_eq!(
        fake.lines(),
        [
            "GET servicePrincipals(appId='00000003-0000-0000-c000-000000000000')\
          ?$select=id,appId,appRoles,oauth2PermissionScopes"
        ]
    );
    assert!(!catalog.is_built_in());
    let id = |permission: Permission| catalog.resolve(&permission).map(|found| found.id.as_u128());
    assert_eq!(id(Permission::application("Brand.New.All")), Ok(1));
    assert_eq!(id(Permission::delegated("Brand.New.All")), Ok(3));
    assert!(id(Permission::application("For.Users.Only")).is_err());
}

#[tokio::test]
async fn an_app_that_may_not_read_them_gets_the_built_in_ones() {
    let fake = Fake::script([refusal(403, "Authorization_RequestDenied", "no")]);
    let catalog = PermissionCatalog::read(&fake.client()).await.unwrap();
    assert!(catalog.is_built_in());
    assert!(catalog.resolve(&Permission::delegated("openid")).is_ok());
}
