#include "certificates.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdlib>

namespace imsdc::test {
namespace {

std::string textOf(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(length));
  BIO_free(bio);
  return text;
}

EVP_PKEY* makeKey(const std::string& name) {
  if (!name.starts_with("RSA") && !name.starts_with("ED")) return EVP_EC_gen(name.c_str());
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, name.c_str(), nullptr);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_keygen_init(context);
  EVP_PKEY_generate(context, &key);  // RSA: 2,048 bits
  EVP_PKEY_CTX_free(context);
  return key;
}

}  // namespace

PemCertificate makeCertificate(const std::string& keyName) {
  EVP_PKEY* key = makeKey(keyName);
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86'400);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, keyName.starts_with("ED") ? nullptr : EVP_sha256());
  BIO* certificateText = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(certificateText, certificate);
  BIO* keyText = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(keyText, key, nullptr, nullptr, 0, nullptr, nullptr);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return {textOf(certificateText), textOf(keyText)};
}

std::unique_ptr<DtlsContext> makeContext(const PemCertificate& pem) {
  std::string error;
  auto context = DtlsContext::create(pem.certificate, pem.key, error);
  if (context == nullptr) std::abort();
  return context;
}

}  // namespace imsdc::test
