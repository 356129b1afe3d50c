#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client_hello.h"
#include "dtls_session.h"
#include "media_port.h"
#include "peer_liveness.h"
#include "sctp_endpoint.h"
#include "stream_table.h"

namespace imsdc {

enum class AssociationState : std::uint8_t { reserved, connecting, connected, failed, closed };

/** The far end, from START. */
struct RemoteEnd {
  NetAddress address;
  std::uint16_t sctpPort = 5000;
  DtlsRole role = DtlsRole::active;  // ours
  std::uint16_t streams = 112;
  bool ice = false;
  bool natLatch = false;
  bool pinhole = false;
  FingerprintSet fingerprints;
};

/** What an association needs from the worker around it. */
class AssociationHost : public StreamHost {
 public:
  virtual Loop& loop() = 0;
  virtual DtlsContext& dtls() = 0;
  virtual void stateChanged(HandleId id, AssociationState state, protocol::WorkerError code, std::string_view detail,
                            const NetAddress& peer) = 0;
  virtual void trace(HandleId id, std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) = 0;
  [[nodiscard]] virtual std::uint32_t associationTimeoutMs() const = 0;
  [[nodiscard]] virtual std::uint32_t heartbeatMs() const = 0;
  /** Server handshakes under way of all associations; too many: everybody has to show a cookie. */
  virtual std::size_t& halfOpen() = 0;

 protected:
  ~AssociationHost() = default;
};

/**
 * One DTLS/SCTP association, from its reserved port to its end.
 *
 *   reserved --START--> connecting --DTLS, then SCTP--> connected --> closed (by the peer) | failed
 */
class Association final : public PortMember, public DtlsOwner, public SctpOwner {
 public:
  Association(AssociationHost& host, HandleId id, std::shared_ptr<MediaPort> port);
  ~Association();
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  void start(RemoteEnd remote, std::uint32_t peerMaxMessageBytes);
  void update(const NetAddress& address, std::uint32_t peerMaxMessageBytes);
  /** Reads and sends what it may; called once per turn after `wake`. */
  void run();

  [[nodiscard]] HandleId id() const { return id_; }
  [[nodiscard]] AssociationState state() const { return state_; }
  [[nodiscard]] const std::shared_ptr<MediaPort>& port() const { return port_; }
  StreamTable& streams() { return streams_; }
  void setTrace(bool on) { tracing_ = on; }
  [[nodiscard]] protocol::AssociationStats stats() const;

  /** Our SCTP port (RFC 8841 5): every association has its own DTLS connection, so all may use the same. */
  static constexpr std::uint16_t kSctpPort = 5000;

  // PortMember
  [[nodiscard]] bool takes(const NetAddress& from) const override;
  [[nodiscard]] bool mayLatch() const override;
  [[nodiscard]] bool waiting() const override { return state_ == AssociationState::reserved; }
  [[nodiscard]] bool doesIce() const override { return active() && remote_.ice; }
  void onDtls(std::span<std::uint8_t> datagram, const NetAddress& from) override;
  void onIceCheck(const NetAddress& from, bool nominated) override;
  void onTrace(std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) override;
  void countIgnored() override { ++datagramsIgnored_; }

  // DtlsOwner
  void dtlsOutput(std::span<const std::uint8_t> datagram) override;
  void dtlsConnected() override;
  void dtlsContent(std::span<std::uint8_t> packet) override;
  void dtlsEnded(DtlsEnd end, const std::string& detail) override;

  // SctpOwner
  void sctpOutput(std::span<std::uint8_t> packet) override;
  void sctpActive() override { host_.wake(id_); }

 private:
  [[nodiscard]] bool active() const {
    return state_ == AssociationState::connecting || state_ == AssociationState::connected;
  }
  void beginActiveHandshake();
  void forgetStranger();
  bool admitClientHello(const ClientHelloHead& hello, const NetAddress& from);
  void newServerSession(const ClientHelloHead& hello, const NetAddress& from, bool afterCookie);
  void dropSession();
  void setHalfOpen(bool halfOpen);
  void enter(AssociationState state, protocol::WorkerError code, std::string_view detail);
  void fail(AssociationState state, protocol::WorkerError code, std::string_view detail);
  bool handle(SctpEvent event);
  void onDeadline();
  void schedule();
  void checkPeerAlive();
  [[nodiscard]] SctpOptions sctpOptions() const;

  AssociationHost& host_;
  HandleId id_;
  std::shared_ptr<MediaPort> port_;
  StreamTable streams_;
  RemoteEnd remote_;
  NetAddress peer_;                       // where we send: SDP, nominated or latched
  std::vector<NetAddress> provedByIce_;   // bounded
  AssociationState state_ = AssociationState::reserved;
  std::unique_ptr<DtlsSession> dtls_;
  std::unique_ptr<SctpEndpoint> sctp_;
  std::array<std::uint8_t, 32> clientRandom_{};  // of the ClientHello that the server session works on
  Timer timer_;
  std::uint64_t stateSinceMs_ = 0;
  std::uint64_t startedMs_ = 0;
  std::uint32_t handshakeUs_ = 0;
  PeerLiveness liveness_;
  std::uint64_t datagramsReceived_ = 0;
  std::uint64_t datagramsSent_ = 0;
  std::uint64_t datagramsIgnored_ = 0;
  // Decided in a callback of DTLS, done when it has returned.
  struct Ending {
    AssociationState state;
    protocol::WorkerError code;
    std::string detail;
  };
  std::optional<Ending> ending_;
  bool tracing_ = false;
  bool halfOpen_ = false;
};

}  // namespace imsdc
