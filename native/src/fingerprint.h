#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imsdc {

/** The fingerprints of one media description (RFC 8122 5). */
class FingerprintSet {
 public:
  /** Adds `sha-256 AA:BB:..`; the hash name in any case. False: malformed or wrong length. Unknown hashes are skipped. */
  [[nodiscard]] bool add(std::string_view attribute);
  /** At least one fingerprint of a hash that we know. */
  [[nodiscard]] bool usable() const { return !entries_.empty(); }
  /** The certificate has to match one of those with the strongest hash offered; weaker ones do not count. */
  [[nodiscard]] bool matches(const X509* certificate) const;

 private:
  struct Entry {
    int strength;  // index into the table of hashes
    std::vector<std::uint8_t> digest;
  };
  std::vector<Entry> entries_;
};

/** `sha-256 AA:BB:..` */
std::string fingerprintOf(const X509* certificate);

}  // namespace imsdc
