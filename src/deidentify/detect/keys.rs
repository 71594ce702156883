//! Names of fields that hold an identifier, in several languages and spellings. (Policy: "types of information
//! collected"; what stands under such a name is taken out whatever it looks like.)

use std::sync::OnceLock;

use hashbrown::HashMap;

/// What a field holds, by the word that takes its place, and the field's names in small letters without separators
/// and accents.
const KEYS: &[(&str, &str)] = &[
    (
        "[email]",
        "email mail emailaddress mailaddress useremail correo correoelectronico courriel epost emailadres eposta adresemail \
         correioeletronico posta mailto emailid",
    ),
    (
        "[phone]",
        "phone phonenumber tel telephone telefon telefono telephonenumber mobile mobilenumber mobilephone movil celular handy \
         handynummer telefonnummer rufnummer mobilfunknummer cellphone msisdn fax whatsapp gsm telefone telefoon telefoonnummer \
         numerodetelefono numerotelefono phoneno mobileno telefonnr",
    ),
    (
        "[name]",
        "firstname lastname fullname surname givenname familyname middlename maidenname vorname nachname familienname \
         nombrecompleto nombreyapellidos apellido apellidos prenom nomdefamille nomcomplet cognome imie nazwisko voornaam \
         achternaam sobrenome nomecompleto soyad soyadi contactname customername accountname accountholder holdername \
         cardholder cardholdername realname displayname personname recipientname recipient fname lname",
    ),
    (
        "[user]",
        "username user login loginname loginid nickname screenname benutzername benutzer usuario nombredeusuario utilisateur \
         userid uid useraccount accountid customerid clientid memberid visitorid personid contactid kundennummer kundennr \
         kundenid mitgliedsnummer numerodecliente idcliente idusuario miid miaccountid openid externaluserid patientid \
         employeeid studentid subscriberid profileid distinctid anonymousid account customernumber customerno membernumber \
         userhandle accountnr membershipnumber",
    ),
    (
        "[address]",
        "address streetaddress street addressline addressline1 addressline2 addr addr1 address1 address2 direccion domicilio calle \
         adresse anschrift strasse hausnummer rue indirizzo endereco adres adress postaladdress deliveryaddress \
         shippingaddress billingaddress homeaddress postcode postalcode zip zipcode plz postleitzahl codigopostal codepostal \
         codicepostale kodpocztowy cep",
    ),
    (
        "[birthday]",
        "birthday birthdate dob dateofbirth birth bday geburtsdatum geburtstag geboren fechadenacimiento fechanacimiento \
         nacimiento datedenaissance naissance datadinascita geboortedatum dataurodzenia fodelsedatum datadenascimento \
         datanascimento dogumtarihi yearofbirth birthyear",
    ),
    ("[personal]", "gender sex genero sexo geschlecht sexe religion ethnicity nationality maritalstatus"),
    (
        "[id]",
        "passport passportnumber passportno reisepass reisepassnummer passnummer pasaporte numerodepasaporte passeport \
         passaporto dni nif nie ssn socialsecuritynumber socialsecurity sozialversicherungsnummer nino nationalid \
         nationalidnumber nationalinsurance nationalinsurancenumber idcard idcardnumber idcardno identitycard identitynumber \
         ausweis personalausweis ausweisnummer taxid taxnumber tin steuernummer steuerid cpf cnpj curp pesel bsn \
         burgerservicenummer codicefiscale nir insee aadhaar aadhar pancard driverlicense driverlicence driverslicense \
         driverslicence drivinglicence drivinglicense driverlicensenumber licensenumber licencenumber fuhrerschein \
         fuehrerschein fuhrerscheinnummer permisodeconducir carnetdeconducir permisdeconduire patente personnummer hetu cpr \
         rodnecislo egn cnp jmbg tckimlik tckimlikno kimlikno healthinsurance insurancenumber medicare nhs nhsnumber cedula \
         documentnumber numerodocumento numerodedocumento idnumber idno",
    ),
    (
        "[card]",
        "card cardnumber cardno cardnum ccnumber ccnum cc creditcard creditcardnumber debitcard debitcardnumber pan cvv cvc cvv2 \
         ccv cardcvc securitycode kartennummer kreditkarte kreditkartennummer tarjeta numerodetarjeta numerotarjeta \
         cartebancaire numerodecarte cartadicredito cardexpiry ecv",
    ),
    (
        "[account]",
        "iban bic swift swiftcode bankaccount bankaccountnumber accountnumber accountno kontonummer konto kontonr bankverbindung \
         cuentabancaria numerodecuenta cuenta routingnumber sortcode blz bban contobancario numerodecompte wallet \
         walletaddress",
    ),
    ("[imei]", "imei imei1 imei2 imeisv meid esn"),
    ("[imsi]", "imsi iccid simnumber simserial"),
    ("[mac]", "mac macaddress macaddr hwaddr hardwareaddress bssid wifimac bluetoothmac"),
    (
        "[device]",
        "serial serialnumber serialno serialnr seriennummer numerodeserie androidid ssaid deviceid udid idfa idfv gaid adid aaid \
         oaid vaid advertisingid advertiserid googleadid waid instanceid installid installationid deviceuuid otinstanceid \
         mstuid xmuuid",
    ),
    (
        "[location]",
        "lat latitude lon lng longitude latlng latlon latlong coordinates coords gps gpslocation geolocation cellid cellidentity \
         lac mcc mnc breitengrad langengrad laengengrad latitud longitud",
    ),
    (
        "[ip]",
        "ip ipaddress ipaddr ipv4 ipv6 remoteaddr remoteaddress clientip userip xforwardedfor ipadresse direccionip",
    ),
    (
        "[secret]",
        "password passwd pwd passwort kennwort contrasena motdepasse senha haslo wachtwoord sifre secret clientsecret secretkey \
         token accesstoken refreshtoken idtoken authtoken csrftoken xsrftoken usertoken sessiontoken apikey apisecret accesskey \
         privatekey authorization auth authcode bearer cookie setcookie session sessionid sid sessid phpsessid jsessionid jwt \
         otp pin pincode onetimecode verificationcode resettoken signature sig servicetoken passcode passphrase credentials",
    ),
    (
        "[work]",
        "employer employername jobtitle job occupation profession arbeitgeber beruf empleador profesion employeur companyname \
         education educationbackground degree",
    ),
    (
        "[vehicle]",
        "vin licenseplate licenceplate plate platenumber numberplate kennzeichen matricula plaka targa immatriculation",
    ),
];

/// Words behind a field's name that change nothing: "phone_number", "passport no", "email hash".
const TRAILERS: [&str; 20] = [
    "number",
    "no",
    "nr",
    "num",
    "nummer",
    "numero",
    "id",
    "value",
    "hash",
    "text",
    "field",
    "input",
    "raw",
    "str",
    "md5",
    "sha1",
    "sha256",
    "hashed",
    "confirm",
    "confirmation",
];

/// Longest name that is looked up, in bytes.
const KEY_BYTES_MAX: usize = 64;

fn known() -> &'static HashMap<&'static str, &'static str> {
    static KNOWN: OnceLock<HashMap<&'static str, &'static str>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        KEYS.iter()
            .flat_map(|&(kind, names)| names.split_ascii_whitespace().map(move |name| (name, kind)))
            .collect()
    })
}

/// A letter without its accent, small.
fn base(c: char) -> char {
    match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' | 'Á' | 'À' | 'Â' | 'Ä' | 'Ã' | 'Å' => 'a',
        'é' | 'è' | 'ê' | 'ë' | 'É' | 'È' | 'Ê' | 'Ë' | 'ę' | 'Ę' => 'e',
        'í' | 'ì' | 'î' | 'ï' | 'Í' | 'Ì' | 'Î' | 'Ï' | 'ı' | 'İ' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' | 'ø' | 'Ó' | 'Ò' | 'Ô' | 'Ö' | 'Õ' | 'Ø' => 'o',
        'ú' | 'ù' | 'û' | 'ü' | 'Ú' | 'Ù' | 'Û' | 'Ü' => 'u',
        'ñ' | 'Ñ' => 'n',
        'ç' | 'Ç' => 'c',
        'ş' | 'Ş' | 'ś' | 'Ś' => 's',
        'ł' | 'Ł' => 'l',
        'ğ' | 'Ğ' => 'g',
        c => c.to_ascii_lowercase(),
    }
}

/// Words of a name that are looked at.
const WORDS_MAX: usize = 12;

/// A name cut into its words: at what is no letter or digit, and where a capital follows a small letter.
struct Words {
    text: [u8; KEY_BYTES_MAX],
    length: usize,
    /// Where each word begins in `text`.
    starts: [usize; WORDS_MAX],
    count: usize,
}

impl Words {
    /// `None` for what is too long or has too many words to be a field's name.
    fn of(key: &str) -> Option<Self> {
        let mut words = Self { text: [0; KEY_BYTES_MAX], length: 0, starts: [0; WORDS_MAX], count: 0 };
        let (mut inside, mut lower) = (false, false);
        for c in key.chars() {
            if !c.is_alphanumeric() {
                (inside, lower) = (false, false);
                continue;
            }
            if !inside || lower && c.is_uppercase() {
                *words.starts.get_mut(words.count)? = words.length;
                words.count += 1;
            }
            (inside, lower) = (true, c.is_lowercase());
            // A letter that has no plain form is in no name that is known.
            let plain = u8::try_from(base(c)).ok().filter(u8::is_ascii);
            if c == 'ß' {
                words.push(b's')?;
            }
            words.push(if c == 'ß' { b's' } else { plain? })?;
        }
        Some(words)
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        *self.text.get_mut(self.length)? = byte;
        self.length += 1;
        Some(())
    }

    fn part(&self, start: usize, end: usize) -> &str {
        std::str::from_utf8(&self.text[start..end]).unwrap_or_default()
    }

    fn find(&self) -> Option<&'static str> {
        let known = known();
        if let Some(kind) = known.get(self.part(0, self.length)) {
            return Some(kind);
        }
        // "email2", "customerPhone1": one of several; "Session 3" is a title, "cc00" an address's group.
        let counted = self.text[..self.length].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let end = self.length - counted;
        let joined = self.count > 0 && self.starts[self.count - 1] < end;
        if (1..=2).contains(&counted) && joined && self.text[end] != b'0' {
            let ends = |&start: &usize| start + 2 < end && known.contains_key(self.part(start, end));
            if let Some(&start) = self.starts[..self.count].iter().find(|start| ends(start)) {
                return known.get(self.part(start, end)).copied();
            }
        }
        // "customer_email_address", "shipping-phone-number": the last words say what it is.
        let mut end = self.length;
        for count in (0..self.count).rev() {
            for &start in &self.starts[..=count] {
                if let Some(kind) = known.get(self.part(start, end)) {
                    return Some(kind);
                }
            }
            if count == 0 || !TRAILERS.contains(&self.part(self.starts[count], end)) {
                break;
            }
            end = self.starts[count];
        }
        None
    }
}

/// What stands for the value of a field of this name; `None` where the name says nothing of an identifier.
pub fn kind_of_key(key: &str) -> Option<&'static str> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return None;
    }
    Words::of(key)?.find()
}

/// Values that say nothing of anybody, whatever the field is called.
pub(super) fn is_harmless(value: &str) -> bool {
    const HARMLESS: [&str; 28] = [
        "",
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "null",
        "none",
        "undefined",
        "nan",
        "0",
        "1",
        "-",
        "unknown",
        "n/a",
        "any",
        "all",
        "guest",
        "anonymous",
        "visa",
        "mastercard",
        "amex",
        "paypal",
        "string",
        "number",
        "object",
        "required",
    ];
    HARMLESS.contains(&value.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::kind_of_key;

    #[test]
    fn names_of_fields_are_known_in_their_spellings() {
        for (key, kind) in [
            ("email", "[email]"),
            ("userEmail", "[email]"),
            ("Customer E-Mail Address", "[email]"),
            ("correo_electrónico", "[email]"),
            ("PHONE_NUMBER", "[phone]"),
            ("billingPhoneNo", "[phone]"),
            ("teléfono", "[phone]"),
            ("Straße", "[address]"),
            ("dateOfBirth", "[birthday]"),
            ("fecha_de_nacimiento", "[birthday]"),
            ("passport-no", "[id]"),
            ("card_number", "[card]"),
            ("X-Forwarded-For", "[ip]"),
            ("access_token", "[secret]"),
            ("android_id", "[device]"),
            ("user.id", "[user]"),
        ] {
            assert_eq!(kind_of_key(key), Some(kind), "{key}");
        }
        for key in [
            "plan",
            "color",
            "email_sent",
            "phone_model",
            "card_type",
            "user_type",
            "session_count",
            "title",
            "id",
            "",
        ] {
            assert_eq!(kind_of_key(key), None, "{key}");
        }
    }

    #[test]
    fn no_name_stands_for_two_things() {
        let mut seen = std::collections::HashSet::new();
        for name in super::KEYS.iter().flat_map(|(_, names)| names.split_ascii_whitespace()) {
            assert!(seen.insert(name), "{name} twice");
        }
    }
}
