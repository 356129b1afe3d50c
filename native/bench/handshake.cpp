// What a DTLS handshake costs: `imsdc-handshake-bench [SECONDS [FIGURE]]`, CPU of this process, a line of JSON per figure.
#include <openssl/x509.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "../src/dtls_session.h"
#include "../test/certificates.h"

namespace imsdc::bench {
namespace {

double cpuUs() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/** Part of the names of the figures that are wanted. */
std::string_view wanted;

void measure(const std::string& figure, double seconds, const std::function<bool()>& once) {
  if (figure.find(wanted) == std::string::npos) return;
  for (int warm = 0; warm < 20; ++warm) {
    if (!once()) std::abort();
  }
  const double start = cpuUs();
  int count = 0;
  while (cpuUs() - start < seconds * 1e6) {
    if (!once()) std::abort();
    ++count;
  }
  std::printf("{\"figure\":\"%s\",\"us\":%.1f}\n", figure.c_str(), (cpuUs() - start) / count);
  std::fflush(stdout);
}

/** A peer's certificate as the handshake reads it: OpenSSL decodes its public key at once. */
bool readCertificate(OSSL_LIB_CTX* library, const std::vector<unsigned char>& der) {
  X509* certificate = X509_new_ex(library, nullptr);
  const unsigned char* at = der.data();
  const bool read = d2i_X509(&certificate, &at, static_cast<long>(der.size())) != nullptr &&
                    X509_get0_pubkey(certificate) != nullptr;
  X509_free(certificate);
  return read;
}

struct End final : DtlsOwner {
  void dtlsOutput(std::span<const std::uint8_t> datagram) override { out.emplace_back(datagram.begin(), datagram.end()); }
  void dtlsConnected() override { connected = true; }
  void dtlsContent(std::span<std::uint8_t>) override {}
  void dtlsEnded(DtlsEnd, const std::string& detail) override { std::fprintf(stderr, "%s\n", detail.c_str()); }
  std::deque<std::vector<std::uint8_t>> out;
  bool connected = false;
};

bool handshake(DtlsContext& active, DtlsContext& passive) {
  End client;
  End server;
  FingerprintSet ofClient;
  FingerprintSet ofServer;
  if (!ofClient.add(active.fingerprint()) || !ofServer.add(passive.fingerprint())) return false;
  DtlsSession fromClient(active, client, DtlsRole::active, ofServer);
  DtlsSession fromServer(passive, server, DtlsRole::passive, ofClient);
  fromClient.start();
  while (!client.out.empty() || !server.out.empty()) {
    const bool sentByClient = !client.out.empty();
    End& from = sentByClient ? client : server;
    std::vector<std::uint8_t> datagram = std::move(from.out.front());
    from.out.pop_front();
    (sentByClient ? fromServer : fromClient).receive(datagram);
  }
  return client.connected && server.connected;
}

std::vector<unsigned char> derOf(const DtlsContext& context) {
  unsigned char* bytes = nullptr;
  const int length = i2d_X509(SSL_CTX_get0_certificate(context.get()), &bytes);
  std::vector<unsigned char> der(bytes, bytes + length);
  OPENSSL_free(bytes);
  return der;
}

}  // namespace
}  // namespace imsdc::bench

int main(int argc, char** argv) {
  using namespace imsdc;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  if (argc > 2) bench::wanted = argv[2];
  for (const char* keyType : {"P-256", "RSA"}) {
    const auto active = test::makeContext(test::makeCertificate(keyType));
    const auto passive = test::makeContext();
    const auto der = bench::derOf(*active);
    const std::string name = keyType;
    bench::measure(name + " certificate, OpenSSL's default context", seconds,
                   [&] { return bench::readCertificate(nullptr, der); });
    bench::measure(name + " certificate, our context", seconds,
                   [&] { return bench::readCertificate(active->library(), der); });
    bench::measure(name + " handshake, both ends", seconds,
                   [&] { return bench::handshake(*active, *passive); });
  }
}
