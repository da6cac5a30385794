//! A configuration file that only listed workstations can read: the connection to Entra with its
//! private key, sealed to their certificates. It needs no network.

use entra_core::{
    Certificate, CertificateOptions, ClientId, Clock as _, Cloud, ConnectionProfile,
    CredentialReference, ProfileSecret, RecipientKey, SealedProfile, Secret, SigningCertificate,
    SystemClock, TenantId, UnsealedProfile, WantedPermission,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 1. Each workstation makes a key of its own. Only the certificate leaves it.
    let reception = Workstation::new("Reception")?;
    let workshop = Workstation::new("Workshop")?;
    let laptop = Workstation::new("Laptop in a café")?;

    // 2. The administrator's tool drafts the connection and makes the app's credential. What the
    //    profile says of it is where it is kept, never the credential itself.
    let now = SystemClock.now();
    let credential = SigningCertificate::generate(&CertificateOptions::new("Acme Signage"), now)?;
    let mut profile = ConnectionProfile::draft("Contoso, Zürich", now)
        .with_permission(WantedPermission::application("Calendars.Read"));
    println!("first  {}", step(&profile));
    let tenant = TenantId::parse("72f988bf-86f1-41af-91ab-2d7cd011db47")?;
    profile.set_tenant(Cloud::public(), tenant)?;
    profile.set_client_id(ClientId::parse("11111111-2222-4333-8444-555555555555")?)?;
    let reference = CredentialReference::certificate(credential.certificate(), "sealed")?;
    profile.set_credential(reference);
    println!("then   {}", step(&profile));
    profile.link(now)?;
    println!("then   {}\n\n{}\n", step(&profile), profile.to_json()?);

    // 3. Profile and private key go into one file, sealed to two workstations.
    let unsealed = UnsealedProfile::new(profile, ProfileSecret::Certificate(credential))?;
    let sealed = unsealed.seal([&reception.certificate, &workshop.certificate])?;
    let file: &str = sealed.as_str();
    println!("the file has {} bytes and is sealed to", file.len());
    for thumbprint in sealed.thumbprints() {
        println!("  {thumbprint}");
    }

    // 4. The two open it and sign in with what they find. The third is refused.
    for workstation in [&reception, &workshop, &laptop] {
        workstation.open(file)?;
    }

    // 5. The laptop comes, the workshop goes. The file remembers to whom it was sealed; it gets a
    //    new key, so that the workshop's old entry is of no use.
    let opened = SealedProfile::parse(file)?.open(&reception.key()?)?;
    let who_stays = opened.recipients().iter();
    let who_stays = who_stays.filter(|certificate| **certificate != workshop.certificate);
    let resealed = opened.seal(who_stays.chain([&laptop.certificate]))?;
    println!("\nsealed anew");
    for workstation in [&reception, &workshop, &laptop] {
        workstation.open(resealed.as_str())?;
    }
    Ok(())
}

/// A machine with its private key, which a product keeps in the machine's protected store.
struct Workstation {
    name: &'static str,
    certificate: Certificate,
    store: Secret,
}

impl Workstation {
    fn new(name: &'static str) -> Result<Self, Box<dyn std::error::Error>> {
        let key = RecipientKey::generate(&CertificateOptions::new(name), SystemClock.now())?;
        Ok(Self {
            name,
            certificate: key.certificate().clone(),
            store: key.to_pem(),
        })
    }

    fn key(&self) -> Result<RecipientKey, Box<dyn std::error::Error>> {
        Ok(RecipientKey::from_pem(&self.store)?)
    }

    fn open(&self, file: &str) -> Result<(), Box<dyn std::error::Error>> {
        match SealedProfile::parse(file)?.open(&self.key()?) {
            Ok(opened) => println!(
                "{:<17} opens {:?}: {}",
                self.name,
                opened.profile().name(),
                opened.secret().credential().describe()
            ),
            Err(error) => println!("{:<17} {error}. {}", self.name, error.admin_hint()),
        }
        Ok(())
    }
}

fn step(profile: &ConnectionProfile) -> &'static str {
    match profile.next_step(SystemClock.now()) {
        Some(step) => step.admin_hint(),
        None => "Nothing is left to do.",
    }
}
