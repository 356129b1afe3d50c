#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ppid.h"

struct socket;  // usrsctp's; only sctp_endpoint.cpp knows what is in it

namespace imsdc {

struct SctpOptions {
  /** As in the SDP's sctp-port lines (RFC 8841 5). */
  std::uint16_t localPort = 5000;
  std::uint16_t remotePort = 5000;
  /** Fixed at INIT, both directions (R13): about 100 bytes each, so ask for what the line needs. */
  std::uint16_t streams = 112;
  /** Largest SCTP packet: UDP payload limit less the DTLS record's overhead. */
  std::uint32_t packetBytes = 1160;
  /** Bound of what waits for the peer's acknowledgement. A longer message can never be sent. */
  std::uint32_t sendBufferBytes = 512 * 1024;
  /** Bound of what has arrived and was not read: the window that we announce. */
  std::uint32_t receiveBufferBytes = 512 * 1024;
  /** R28: keeps NAT and gate pinholes open. */
  std::uint32_t heartbeatMs = 25'000;
};

/** Reliability of a message: RFC 8831 6.1, from the dcmap line. At most one of the two limits is set. */
struct SctpDelivery {
  bool ordered = true;
  bool hasMaxRetransmissions = false;
  bool hasMaxTimeMs = false;
  std::uint32_t limit = 0;
};

enum class SctpSend : std::uint8_t { accepted, wouldBlock, tooLong, refused };

/** What an endpoint has for its owner, in order of arrival. Spans are valid until the next call of `next`. */
namespace sctp {
struct Connected {
  std::uint16_t inboundStreams;
  std::uint16_t outboundStreams;
};
struct Message {
  std::uint16_t streamId;
  std::uint32_t ppid;
  std::span<const std::uint8_t> data;
};
/** The peer says that it will send nothing more on these (RFC 6525 5.2.2); empty: all. */
struct PeerReset {
  std::vector<std::uint16_t> streamIds;
};
/** The peer has confirmed our reset of these. */
struct ResetDone {
  std::vector<std::uint16_t> streamIds;
  bool denied;
};
/** More than the largest message arrived without an end; the rest of it is thrown away. */
struct Oversize {
  std::uint16_t streamId;
};
struct Lost {
  const char* reason;
};
}  // namespace sctp
using SctpEvent = std::variant<std::monostate, sctp::Connected, sctp::Message, sctp::PeerReset,
                               sctp::ResetDone, sctp::Oversize, sctp::Lost>;

/** Calls come from inside `receive`, `send`, `connect`, `resetStream`, the destructor and `SctpStack::tick`. */
class SctpOwner {
 public:
  /** A packet for the DTLS layer. It may be overwritten in place. */
  virtual void sctpOutput(std::span<std::uint8_t> packet) = 0;
  /** There may be something in `next`, or room to send. Take note and act later: do not call the endpoint here. */
  virtual void sctpActive() = 0;

 protected:
  ~SctpOwner() = default;
};

struct SctpStats {
  std::uint32_t srttMs = 0;
  std::uint32_t congestionWindow = 0;
  std::uint32_t peerWindow = 0;
  std::uint32_t unacknowledgedChunks = 0;
  std::uint32_t pendingChunks = 0;
  std::uint64_t abandonedMessages = 0;
  std::uint64_t retransmittedChunks = 0;
};

/** usrsctp is one per process and has no timers of its own here: the event loop drives it. */
class SctpStack {
 public:
  /** Idempotent. */
  static void start();
  /**
   * Moves usrsctp's time: its timers and, with them, the wall clock that it reads (see stack_clock.cpp). Call it before
   * a batch of packets too. Cost grows with the number of associations (usrsctp's timers are one list).
   */
  static void tick(std::uint32_t elapsedMs);
  static std::size_t endpoints();
};

/**
 * One SCTP association over a packet channel (RFC 8261). The only code that knows usrsctp, so that it can be replaced.
 *
 * Inside usrsctp every endpoint is bound to the same address and to a port of its own (its slot); the ports of the SDP
 * appear only on the wire. So each lookup in usrsctp is a hash hit although every line says `sctp-port:5000`, no address
 * is ever registered or deregistered (deregistering wakes usrsctp's iterator thread), and a packet that a closed
 * endpoint still sends finds no owner instead of a dangling pointer.
 */
class SctpEndpoint {
 public:
  SctpEndpoint(SctpOwner& owner, const SctpOptions& options);
  /** Sends ABORT when the association is alive. */
  ~SctpEndpoint();
  SctpEndpoint(const SctpEndpoint&) = delete;
  SctpEndpoint& operator=(const SctpEndpoint&) = delete;

  /** Both sides send INIT (RFC 8841 9.3 has no SCTP client); false when the stack has no slot or memory. */
  [[nodiscard]] bool connect();
  /** A packet that came out of DTLS. Anything malformed is dropped and counted. */
  void receive(std::span<std::uint8_t> packet);
  SctpSend send(std::uint16_t streamId, std::uint32_t ppid, std::span<const std::uint8_t> data,
                const SctpDelivery& delivery);
  /** The next event, monostate when there is none. Not calling it closes the window towards the peer. */
  SctpEvent next(std::size_t maxMessageBytes);
  /** RFC 6525 outgoing reset, the way RFC 8831 6.7 closes a data channel. False: not now, try again. */
  bool resetStream(std::uint16_t streamId);
  /** Strict priorities between streams; lower numbers go first. */
  void setPriority(std::uint16_t streamId, std::uint16_t rank);
  [[nodiscard]] std::uint16_t streams() const { return outboundStreams_; }
  [[nodiscard]] SctpStats stats() const;
  [[nodiscard]] std::uint64_t droppedPackets() const { return droppedPackets_; }

 private:
  friend class SctpStack;
  friend struct SctpCallbacks;
  SctpEvent notification(std::span<const std::uint8_t> bytes);
  void countRetransmissions(std::span<const std::uint8_t> packet);
  void applyOptions();

  SctpOwner& owner_;
  SctpOptions options_;
  struct ::socket* socket_ = nullptr;
  std::uint16_t slot_ = 0;
  std::uint16_t outboundStreams_ = 0;
  bool connected_ = false;
  bool prioritised_ = false;
  bool skippingOversize_ = false;
  std::uint64_t droppedPackets_ = 0;
  std::uint64_t retransmittedChunks_ = 0;
  std::uint32_t highestTsn_ = 0;
  bool anyTsn_ = false;
  std::vector<std::uint8_t> partial_;  // only while a message arrives in pieces
};

}  // namespace imsdc
