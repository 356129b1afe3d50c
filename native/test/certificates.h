#pragma once

#include <memory>
#include <string>

#include "../src/dtls_context.h"

namespace imsdc::test {

struct PemCertificate {
  std::string certificate;
  std::string key;
};

/** A fresh self-signed certificate: `curve` names an EC group, or "RSA". */
PemCertificate makeCertificate(const std::string& curve = "P-256");

std::unique_ptr<DtlsContext> makeContext(const PemCertificate& pem = makeCertificate());

}  // namespace imsdc::test
