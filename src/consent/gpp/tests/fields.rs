//! The fields of the sections of the United States as their specifications list them, in order.

/// One section in one version.
pub struct Section {
    pub id: u32,
    pub version: u32,
    /// Names; each has two bits, or as many times two as stand behind its colon. The version before them has six.
    fields: &'static str,
}

/// Minnesota's and those before it end in three fields of the MSPA; they are left to [`Section::fields`].
#[rustfmt::skip]
pub const SECTIONS: &[Section] = &[
    Section { id: 7, version: 1, fields: "SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:12 KnownChildSensitiveDataConsents:2 PersonalDataConsents" },
    Section { id: 7, version: 2, fields: "SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:16 KnownChildSensitiveDataConsents:3 PersonalDataConsents" },
    Section { id: 8, version: 1, fields: "SaleOptOutNotice SharingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut SensitiveDataProcessing:9 KnownChildSensitiveDataConsents:2 PersonalDataConsents" },
    Section { id: 9, version: 1, fields: "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents" },
    Section { id: 10, version: 1, fields: "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:7 KnownChildSensitiveDataConsents" },
    Section { id: 11, version: 1, fields: "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataProcessingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents" },
    Section { id: 12, version: 1, fields: "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents:3" },
    Section { id: 13, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents:3 AdditionalDataProcessingConsent" },
    Section { id: 14, version: 1, fields: "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents:3 AdditionalDataProcessingConsent" },
    Section { id: 15, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:11 KnownChildSensitiveDataConsents:3 AdditionalDataProcessingConsent" },
    Section { id: 16, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent" },
    Section { id: 17, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:9 KnownChildSensitiveDataConsents:5 AdditionalDataProcessingConsent" },
    Section { id: 18, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents" },
    Section { id: 19, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent" },
    Section { id: 20, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents:3 AdditionalDataProcessingConsent" },
    Section { id: 21, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:10 KnownChildSensitiveDataConsents:5 AdditionalDataProcessingConsent" },
    // Without MspaCoveredTransaction, as specified.
    Section { id: 22, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent" },
    Section { id: 23, version: 1, fields: "ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut SensitiveDataProcessing:8 KnownChildSensitiveDataConsents AdditionalDataProcessingConsent" },
    Section { id: 24, version: 1, fields: "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut AdditionalDataProcessingConsent" },
    Section { id: 25, version: 1, fields: "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent" },
    Section { id: 26, version: 1, fields: "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent" },
    Section { id: 27, version: 1, fields: "MspaCoveredTransaction MspaMode ProcessingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut KnownChildSensitiveDataConsents AdditionalDataProcessingConsent" },
];

/// Whether a field is one that objects.
pub fn is_opt_out(field: &str) -> bool {
    ["SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut"].contains(&field)
}

impl Section {
    /// The fields behind the version.
    pub fn fields(&self) -> impl Iterator<Item = &'static str> {
        let mspa = match self.id {
            22 => "MspaOptOutOptionMode MspaServiceProviderMode",
            24.. => "",
            _ => "MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode",
        };
        self.fields.split(' ').chain(mspa.split_whitespace())
    }

    /// The versions in which the section may come, this one's length fitting.
    pub fn versions(&self) -> &'static [u32] {
        // A national section that calls itself version 1 may have the fields of version 2.
        if (self.id, self.version) == (7, 2) { &[1, 2] } else { &[1] }
    }

    /// The bits of the core: the version, and a value for each name.
    pub fn core(&self, value: impl Fn(&str) -> u32) -> String {
        let fields = self.fields().map(|field| {
            let times = field.split_once(':').map_or(1, |(_, times)| times.parse().unwrap());
            format!("{:02b}", value(field)).repeat(times)
        });
        std::iter::once(format!("{:06b}", self.version)).chain(fields).collect()
    }
}
