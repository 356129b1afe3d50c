// Prints the worker protocol of src/mf/worker/protocol.ts as a C++20 header, or with --markdown as the tables of
// docs/media-worker.md. Runs on Node 20 and later; the definition is TypeScript, so an older Node hands over to the
// one that `npm ci` brought.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

if (!process.features.typescript) {
  const node = join(root, 'node_modules', '.bin', 'node');
  if (process.env.IMSDC_GENERATOR) throw new Error(`${process.execPath} cannot load TypeScript; run npm ci first`);
  const child = spawnSync(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, IMSDC_GENERATOR: '1' },
  });
  if (child.error) throw new Error(`cannot run ${node}; run npm ci first`, { cause: child.error });
  process.exit(child.status ?? 1);
}

const protocol = await import(pathToFileURL(join(root, 'src/mf/worker/protocol.ts')).href);

const pascal = (name) =>
  name
    .toLowerCase()
    .split('_')
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .join('');
const upperFirst = (name) => name[0].toUpperCase() + name.slice(1);
const isScalar = (field) => /^u\d+$/.test(field.type);
const minimumBytes = (field) =>
  ({ u8: 1, u16: 2, u32: 4, u64: 8, bool: 1, enum: 1, string: 2, bytes: 4, list: 2 })[field.type];

/** Emits each distinct struct once, records before their users; two of one name must be the same. */
class Header {
  #records = new Map();
  #names = new Set();
  #out = [];

  struct(name, fields, doc) {
    if (this.#names.has(name)) throw new Error(`two structs are called ${name}`);
    this.#names.add(name);
    for (const field of fields) {
      if (field.type === 'list') this.#record(field);
      if (field.type === 'enum') this.#enumeration(name, field);
    }
    const lines = [];
    if (doc) lines.push(`/// ${doc}`);
    lines.push(`struct ${name} {`);
    for (const field of fields) {
      lines.push(
        `  ${this.#type(name, field)} ${field.name}${this.#initial(field)};${field.doc ? ` ///< ${field.doc}` : ''}`,
      );
    }
    lines.push('  [[nodiscard]] bool decode(Reader &in) {', '    (void)in;');
    for (const field of fields) lines.push(...this.#decode(field));
    lines.push('    return true;', '  }', '  void encode(Writer &out) const {', '    (void)out;');
    for (const field of fields) lines.push(...this.#encode(field));
    lines.push('  }', '};', '');
    this.#out.push(lines.join('\n'));
  }

  #record(field) {
    const known = this.#records.get(field.record);
    const shape = JSON.stringify(field.of);
    if (known === undefined) {
      this.#records.set(field.record, shape);
      this.struct(field.record, field.of, '');
    } else if (known !== shape) throw new Error(`two records are called ${field.record}`);
  }

  #enumeration(owner, field) {
    const values = field.values.map((value, index) => `${upperFirst(value)} = ${index}`).join(', ');
    this.#out.push(`enum class ${owner}${upperFirst(field.name)} : std::uint8_t { ${values} };\n`);
  }

  #type(owner, field) {
    if (isScalar(field)) return `std::uint${field.type.slice(1)}_t`;
    if (field.type === 'bool') return 'bool';
    if (field.type === 'enum') return `${owner}${upperFirst(field.name)}`;
    if (field.type === 'string') return 'std::string_view';
    if (field.type === 'bytes') return 'std::span<const std::uint8_t>';
    return `std::vector<${field.record}>`;
  }

  #initial(field) {
    if (isScalar(field)) return ' = 0';
    if (field.type === 'bool') return ' = false';
    return '{}';
  }

  #decode(field) {
    const { name } = field;
    if (isScalar(field)) return [`    if (!in.${field.type}(${name})) return false;`];
    if (field.type === 'bool') return [`    if (!in.boolean(${name})) return false;`];
    if (field.type === 'enum') return [`    if (!in.enumeration(${name}, ${field.values.length})) return false;`];
    if (field.type === 'string') return [`    if (!in.string(${name}, ${field.max})) return false;`];
    if (field.type === 'bytes') return [`    if (!in.bytes(${name}, ${field.max})) return false;`];
    const least = field.of.reduce((sum, inner) => sum + minimumBytes(inner), 0);
    return [
      '    {',
      '      std::size_t count = 0;',
      `      if (!in.count(count, ${field.max}, ${least})) return false;`,
      `      ${name}.resize(count);`,
      `      for (auto &record : ${name})`,
      '        if (!record.decode(in)) return false;',
      '    }',
    ];
  }

  #encode(field) {
    const { name } = field;
    if (isScalar(field)) return [`    out.${field.type}(${name});`];
    if (field.type === 'bool') return [`    out.u8(${name} ? 1 : 0);`];
    if (field.type === 'enum') return [`    out.u8(static_cast<std::uint8_t>(${name}));`];
    if (field.type === 'string') return [`    out.string(${name}, ${field.max});`];
    if (field.type === 'bytes') return [`    out.bytes(${name});`];
    return [`    out.count(${name}.size());`, `    for (const auto &record : ${name}) record.encode(out);`];
  }

  toString() {
    return this.#out.join('\n');
  }
}

const RUNTIME = `/// Reads little-endian fields from one frame body. Views point into the frame. Every method is false when the body
/// is too short or a bound is exceeded; nothing is allocated for more than the body can hold.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> body) : at_(body.data()), end_(body.data() + body.size()) {}
  [[nodiscard]] bool done() const { return at_ == end_; }
  [[nodiscard]] bool u8(std::uint8_t &value) { return integer(value); }
  [[nodiscard]] bool u16(std::uint16_t &value) { return integer(value); }
  [[nodiscard]] bool u32(std::uint32_t &value) { return integer(value); }
  [[nodiscard]] bool u64(std::uint64_t &value) { return integer(value); }
  [[nodiscard]] bool boolean(bool &value) {
    std::uint8_t octet = 0;
    if (!u8(octet) || octet > 1) return false;
    value = octet == 1;
    return true;
  }
  template <typename E>
  [[nodiscard]] bool enumeration(E &value, std::uint8_t values) {
    std::uint8_t octet = 0;
    if (!u8(octet) || octet >= values) return false;
    value = static_cast<E>(octet);
    return true;
  }
  [[nodiscard]] bool string(std::string_view &value, std::size_t max) {
    std::uint16_t size = 0;
    if (!u16(size) || size > max || size > left()) return false;
    value = {reinterpret_cast<const char *>(at_), size};
    at_ += size;
    return true;
  }
  [[nodiscard]] bool bytes(std::span<const std::uint8_t> &value, std::size_t max) {
    std::uint32_t size = 0;
    if (!u32(size) || size > max || size > left()) return false;
    value = {at_, size};
    at_ += size;
    return true;
  }
  [[nodiscard]] bool count(std::size_t &value, std::size_t max, std::size_t leastBytes) {
    std::uint16_t records = 0;
    if (!u16(records) || records > max || records * leastBytes > left()) return false;
    value = records;
    return true;
  }

 private:
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  template <typename T>
  [[nodiscard]] bool integer(T &value) {
    if (left() < sizeof(T)) return false;
    value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value | static_cast<T>(at_[i]) << (8 * i));
    at_ += sizeof(T);
    return true;
  }
  const std::uint8_t *at_;
  const std::uint8_t *end_;
};

/// Appends little-endian fields. Strings are cut at their bound, so that a long detail never makes a bad frame.
class Writer {
 public:
  explicit Writer(std::vector<std::uint8_t> &out) : out_(out) {}
  void u8(std::uint8_t value) { out_.push_back(value); }
  void u16(std::uint16_t value) { integer(value); }
  void u32(std::uint32_t value) { integer(value); }
  void u64(std::uint64_t value) { integer(value); }
  void string(std::string_view value, std::size_t max) {
    value = value.substr(0, max);
    u16(static_cast<std::uint16_t>(value.size()));
    out_.insert(out_.end(), value.begin(), value.end());
  }
  void bytes(std::span<const std::uint8_t> value) {
    u32(static_cast<std::uint32_t>(value.size()));
    out_.insert(out_.end(), value.begin(), value.end());
  }
  void count(std::size_t records) { u16(static_cast<std::uint16_t>(records)); }

 private:
  template <typename T>
  void integer(T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i) out_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  std::vector<std::uint8_t> &out_;
};

/// What precedes every body.
struct FrameHeader {
  FrameType type{};
  std::uint32_t requestId = 0;
  std::uint32_t handle = 0;
  std::uint32_t generation = 0;
};

/// Appends one whole frame to \`out\`.
template <typename Body>
void appendFrame(std::vector<std::uint8_t> &out, const FrameHeader &header, const Body &body) {
  const std::size_t start = out.size();
  Writer writer(out);
  writer.u32(0);
  writer.u32(static_cast<std::uint32_t>(header.type));
  writer.u32(header.requestId);
  writer.u32(header.handle);
  writer.u32(header.generation);
  body.encode(writer);
  const std::size_t length = out.size() - start - 4;
  for (std::size_t i = 0; i < 4; ++i) out[start + i] = static_cast<std::uint8_t>(length >> (8 * i));
}

/// Splits the 16 octets that follow the length. False: the type octet's neighbours are not zero.
[[nodiscard]] inline bool decodeHeader(Reader &in, FrameHeader &header) {
  std::uint32_t type = 0;
  if (!in.u32(type) || type > 0xff) return false;
  header.type = static_cast<FrameType>(type);
  return in.u32(header.requestId) && in.u32(header.handle) && in.u32(header.generation);
}
`;

function cpp() {
  const frames = Object.entries(protocol.FRAMES);
  const errors = Object.entries(protocol.WORKER_ERRORS);
  const header = new Header();
  for (const [name, frame] of frames) {
    header.struct(
      pascal(name),
      frame.fields,
      `${frame.from} -> ${frame.from === 'engine' ? 'worker' : 'engine'}, ${frame.socket}: ${frame.doc}`,
    );
    if (frame.reply) header.struct(`${pascal(name)}Reply`, frame.reply, `Body of the OK that answers ${name}.`);
  }
  return `// Generated by scripts/generate-worker-header.mjs from src/mf/worker/protocol.ts. Do not edit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace imsdc::protocol {

inline constexpr std::uint16_t kVersion = ${protocol.PROTOCOL_VERSION};
inline constexpr std::size_t kFrameHeaderBytes = ${protocol.FRAME_HEADER_BYTES}; ///< length field included
inline constexpr std::size_t kMaxMessageBytes = ${protocol.MAX_MESSAGE_BYTES};
inline constexpr std::size_t kMaxControlFrameBytes = ${protocol.MAX_CONTROL_FRAME_BYTES}; ///< value of the length field
inline constexpr std::size_t kMaxPayloadFrameBytes = ${protocol.MAX_PAYLOAD_FRAME_BYTES}; ///< value of the length field
inline constexpr std::uint32_t kMessageCreditOverheadBytes = ${protocol.MESSAGE_CREDIT_OVERHEAD_BYTES};
inline constexpr std::size_t kMaxEarlyDatagrams = ${protocol.MAX_EARLY_DATAGRAMS};
inline constexpr int kControlDescriptor = ${protocol.CONTROL_DESCRIPTOR};
inline constexpr int kPayloadDescriptor = ${protocol.PAYLOAD_DESCRIPTOR};

enum class FrameType : std::uint8_t {
${frames.map(([name, frame]) => `  ${pascal(name)} = ${frame.type},`).join('\n')}
};

enum class WorkerError : std::uint16_t {
  Ok = 0,
${errors.map(([name, error]) => `  ${pascal(name)} = ${error.value}, ///< ${error.doc}`).join('\n')}
};

${RUNTIME}
${header}
}  // namespace imsdc::protocol
`;
}

function bound(field) {
  if (field.type === 'enum') return field.values.map((value, index) => `${index} ${value}`).join(', ');
  if (field.type === 'string' || field.type === 'bytes') return `<= ${field.max} bytes`;
  if (field.type === 'list') return `<= ${field.max} records`;
  return '';
}

function rows(fields, prefix = '') {
  return fields.flatMap((field) => [
    `| \`${prefix}${field.name}\` | ${field.type} | ${bound(field)} | ${field.doc} |`,
    ...(field.type === 'list' ? rows(field.of, `${prefix}${field.name}[].`) : []),
  ]);
}

function table(fields) {
  if (fields.length === 0) return 'No body.\n';
  return `| field | type | bound | meaning |\n|---|---|---|---|\n${rows(fields).join('\n')}\n`;
}

function markdown() {
  const parts = [];
  for (const [name, frame] of Object.entries(protocol.FRAMES)) {
    const way = frame.from === 'engine' ? 'engine → worker' : 'worker → engine';
    parts.push(`### ${name} (${frame.type}) ${way}, ${frame.socket}\n\n${frame.doc}\n\n${table(frame.fields)}`);
    if (frame.reply?.length) parts.push(`OK:\n\n${table(frame.reply)}`);
  }
  parts.push(
    `### Error codes\n\n| code | value | meaning |\n|---|---|---|\n${Object.entries(protocol.WORKER_ERRORS)
      .map(([name, error]) => `| ${name} | ${error.value} | ${error.doc} |`)
      .join('\n')}\n`,
  );
  return parts.join('\n');
}

process.stdout.write(process.argv.includes('--markdown') ? markdown() : cpp());
