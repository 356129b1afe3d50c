#pragma once

#include <memory>
#include <string>

#include "../src/dtls_context.h"

namespace imsdc::test {

struct PemCertificate {
  std::string certificate;
  std::string key;
};

/** A fresh self-signed certificate: `key` names an EC group, or is "RSA", "RSA-PSS", "ED25519" or "ED448". */
PemCertificate makeCertificate(const std::string& key = "P-256");

std::unique_ptr<DtlsContext> makeContext(const PemCertificate& pem = makeCertificate());

}  // namespace imsdc::test
