// What the library context of DTLS offers, and when it is not used.
#include "../src/dtls_library.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>

#include "check.h"

namespace imsdc::test {
namespace {

int keyTypes(OSSL_LIB_CTX* library) {
  int count = 0;
  EVP_KEYMGMT_do_all_provided(library, [](EVP_KEYMGMT*, void* counter) { ++*static_cast<int*>(counter); }, &count);
  return count;
}

bool hasCipher(OSSL_LIB_CTX* library, const char* name) {
  EVP_CIPHER* cipher = EVP_CIPHER_fetch(library, name, nullptr);
  EVP_CIPHER_free(cipher);
  return cipher != nullptr;
}

TEST(theLibraryOffersWhatHandshakesUseAndNothingElse) {
  const DtlsLibrary library;
  REQUIRE(library.get() != nullptr);
  CHECK(keyTypes(library.get()) == 6);
  CHECK(keyTypes(nullptr) > 12);
  CHECK(hasCipher(library.get(), "AES-128-GCM") && !hasCipher(library.get(), "AES-128-CBC"));
}

TEST(theLibraryHasRandomNumbers) {
  const DtlsLibrary library;
  REQUIRE(library.get() != nullptr);
  std::array<unsigned char, 32> first{};
  std::array<unsigned char, 32> second{};
  REQUIRE(RAND_bytes_ex(library.get(), first.data(), first.size(), 256) == 1);
  REQUIRE(RAND_priv_bytes_ex(library.get(), second.data(), second.size(), 256) == 1);
  CHECK(first != second && first != decltype(first){} && second != decltype(second){});
}

TEST(oneLibraryOutlivesAnother) {
  const DtlsLibrary stays;
  REQUIRE(stays.get() != nullptr);
  { const DtlsLibrary goes; }
  CHECK(keyTypes(stays.get()) == 6);
}

TEST(aHostThatDemandsFipsKeepsItsOwnProviders) {
  REQUIRE(EVP_default_properties_enable_fips(nullptr, 1) == 1);
  const DtlsLibrary library;
  const bool own = library.get() != nullptr;
  REQUIRE(EVP_default_properties_enable_fips(nullptr, 0) == 1);
  CHECK(!own);
}

}  // namespace
}  // namespace imsdc::test
