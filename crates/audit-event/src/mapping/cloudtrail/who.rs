//! `userIdentity`.

use crate::event::{Actor, ActorKind, Party};
use crate::mapping::draft::{Draft, default_actor};
use crate::mapping::fields::Fields;
use crate::mapping::{Intake, MapError};

/// What stands for a user name that AWS keeps back, as it may be a password typed in the wrong place.
const HIDDEN: &str = "HIDDEN_DUE_TO_SECURITY_REASONS";
const HIDDEN_SHOWN: &str = "unknown user name";

/// Fills in the actor. Returns the account of the record, or that of the identity.
pub(super) fn identity(
    fields: &mut Fields<'_, '_>,
    draft: &mut Draft,
    account: Option<String>,
    intake: &Intake<'_>,
) -> Result<Option<String>, MapError> {
    let Some(mut user) = fields.object("userIdentity")? else {
        draft.event.actor = Some(default_actor(intake, ""));
        return Ok(account);
    };
    let kind = user.filled("type")?;
    let (principal, arn) = (user.filled("principalId")?, user.filled("arn")?);
    let (invoked_by, own_account) = (user.filled("invokedBy")?, user.filled("accountId")?);
    let name = user.filled("userName")?;
    let is_service = kind.is_none() || kind.as_deref() == Some("AWSService");
    let by_service = invoked_by.clone().filter(|_| is_service);
    let id = by_service.or(principal).or_else(|| arn.clone()).or_else(|| own_account.clone());
    let id = id.or_else(|| invoked_by.clone());
    let mut actor = match id {
        Some(id) => Actor::new(kind_of(kind.as_deref(), invoked_by.is_some()), id),
        None => default_actor(intake, ""),
    };
    actor.name = name.map(|name| if name == HIDDEN { HIDDEN_SHOWN.to_owned() } else { name });
    actor.session_id = user.filled("accessKeyId")?;
    actor.on_behalf_of = session(&mut user, draft)?;
    if let Some(service) = &invoked_by
        && actor.on_behalf_of.is_none()
        && actor.id != *service
    {
        let id = service.clone();
        actor.on_behalf_of = Some(Party { kind: ActorKind::System, id, name: None });
    }
    draft.event.actor = Some(actor);
    draft.metadata_text("userIdentity.type", kind);
    draft.metadata_text("userIdentity.arn", arn);
    draft.metadata_text("userIdentity.accountId", own_account.clone());
    draft.metadata_text("userIdentity.invokedBy", invoked_by);
    Ok(account.or(own_account))
}

/// The role that a session was issued for.
fn session(user: &mut Fields<'_, '_>, draft: &mut Draft) -> Result<Option<Party>, MapError> {
    let Some(mut session) = user.object("sessionContext")? else { return Ok(None) };
    if let Some(mut attributes) = session.maybe_object("attributes") {
        draft.metadata_text("mfaAuthenticated", attributes.filled("mfaAuthenticated")?);
    }
    let Some(mut issuer) = session.object("sessionIssuer")? else { return Ok(None) };
    let name = issuer.filled("userName")?;
    let kind = kind_of(issuer.filled("type")?.as_deref(), false);
    let id = issuer.filled("principalId")?.or(issuer.filled("arn")?);
    Ok(id.map(|id| Party { kind, id, name }))
}

fn kind_of(kind: Option<&str>, is_invoked: bool) -> ActorKind {
    match kind {
        Some(
            "Root" | "IAMUser" | "IdentityCenterUser" | "SAMLUser" | "WebIdentityUser"
            | "FederatedUser" | "Directory",
        ) => ActorKind::User,
        Some("AWSService") => ActorKind::System,
        Some("Unknown") => ActorKind::Anonymous,
        None if is_invoked => ActorKind::System,
        _ => ActorKind::Service,
    }
}
