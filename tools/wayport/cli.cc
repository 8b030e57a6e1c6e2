#include "wayport/tools/wayport/cli.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

#include "wayport/framing/gzip.h"

namespace wayport::tools {
namespace {

constexpr const char* kVersion = "wayport 0.1.0 (Teleport 2.0 to 2.6)";

// An option whose text our own reader turns into its value.
template <class T, class Read>
CLI::Option* add_read(CLI::App& command, const std::string& name, T& to, Read read, const std::string& help,
                      const std::string& type, const std::string& otherwise) {
  CLI::Option* const option = command.add_option_function<std::string>(
      name,
      [&to, read, name](const std::string& text) {
        auto value = read(text);
        if (!value) throw CLI::ValidationError(name, value.error().detail);
        to = *value;
      },
      help);
  option->type_name(type);
  if (!otherwise.empty()) option->default_str(otherwise);
  return option;
}

Result<framing::PeerVersion> read_version(const std::string& text) {
  if (const auto version = framing::parse_peer_version(text)) return *version;
  return fail(ErrorCode::invalid_argument, "\"" + escape(text) + "\" is no release of Teleport: 2.0 to 2.6");
}

Result<std::int32_t> read_gzip_level(const std::string& text) {
  int level = 0;
  if (CLI::detail::lexical_cast(text, level) && (level == 0 || framing::is_gzip_level(level))) return level;
  return fail(ErrorCode::invalid_argument, "\"" + escape(text) + "\" is no level: -2, -1, or 0 to 9");
}

Result<Duration> read_positive_duration(const std::string& text) {
  WAYPORT_TRY_ASSIGN(const Duration duration, parse_duration(text));
  if (duration > Duration::zero()) return duration;
  return fail(ErrorCode::invalid_argument, "\"" + escape(text) + "\" is not more than nothing");
}
Result<Duration> read_duration(const std::string& text) {
  WAYPORT_TRY_ASSIGN(const Duration duration, parse_duration(text));
  if (duration >= Duration::zero()) return duration;
  return fail(ErrorCode::invalid_argument, "\"" + escape(text) + "\" is less than nothing");
}

Result<std::uint8_t> read_header_codec(const std::string& text) {
  if (text == "json") return framing::kCodecJson;
  if (text == "protobuf") return framing::kCodecProtobuf;
  return fail(ErrorCode::invalid_argument, "\"" + escape(text) + "\" is no header codec: json or protobuf");
}

Result<std::uint8_t> read_body_codec(const std::string& text) {
  if (text == "json") return framing::kCodecJson;
  if (text == "protobuf") return framing::kCodecProtobuf;
  if (text == "string") return framing::kCodecString;
  if (text == "flatbuffers") return framing::kCodecFlatbuffers;
  if (text == "raw") return 0;
  return fail(ErrorCode::invalid_argument,
              "\"" + escape(text) + "\" is no body codec: json, protobuf, string, flatbuffers or raw");
}

Result<CaptureForm> read_form(const std::string& text) {
  if (text == "hex") return CaptureForm::hex;
  if (text == "raw") return CaptureForm::raw;
  if (text == "pcap") return CaptureForm::pcap;
  return fail(ErrorCode::invalid_argument, "\"" + escape(text) + "\" is no form of input: hex, raw or pcap");
}

void add_limits(CLI::App& command, framing::ReadLimits& limits) {
  add_read(command, "--read-limit", limits.packet_bytes_max, parse_bytes, "Largest packet to read; 0: any", "BYTES",
           "64MiB");
  add_read(command, "--inflate-limit", limits.inflated_bytes_max, parse_bytes, "Largest inflated body to read; 0: any",
           "BYTES", "64MiB");
}

void add_wire(CLI::App& command, WireOptions& wire) {
  add_limits(command, wire.limits);
  add_read(command, "--header-codec", wire.header_codec, read_header_codec, "Of requests: json or protobuf", "CODEC",
           "json");
}

void add_version(CLI::App& command, WireOptions& wire) {
  add_read(command, "--peer-version", wire.version, read_version, "Release that the other side speaks: 2.0 to 2.6",
           "VERSION", "2.5");
}

void add_call(CLI::App& command, CallOptions& call) {
  command.add_option("URL", call.url, "Address of the peer, such as tcp://127.0.0.1:9090")->required();
  command.add_option("PATH", call.path, "Path and query, such as /sum or /sleep?ms=10")->required();
  command.add_option("--body", call.body.source,
                     "TEXT as it is, @FILE, or - for standard input; without it there is no body");
  command
      .add_option_function<std::string>(
          "--codec",
          [&call](const std::string& text) {
            const Result<std::uint8_t> codec = read_body_codec(text);
            if (!codec) throw CLI::ValidationError("--codec", codec.error().detail);
            call.body.codec = *codec;
            call.body.raw = *codec == 0;
          },
          "How the body is marked: json (and checked), protobuf, string, flatbuffers; raw: its first byte is the mark")
      ->type_name("CODEC")
      ->default_str("json");
  add_read(command, "--gzip", call.body.gzip, read_gzip_level, "Compression level: -2, -1, 1 to 9; 0: none", "LEVEL",
           "0");
  add_read(command, "--timeout", call.timeout, read_positive_duration, "For all of it, from dialling on", "TIME", "5s");
  add_version(command, call.wire);
  add_wire(command, call.wire);
}

void add_json(CLI::App& command, bool& json, const std::string& help) { command.add_flag("--json", json, help); }

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& help, const std::string& example) {
  CLI::App& command = *app.add_subcommand(name, help);
  command.footer("Example:\n  " + example);
  command.fallthrough();  // so that --log-level may stand behind the command
  return command;
}

struct Commands {
  ServeOptions serve;
  CallOptions call;
  PushOptions push;
  ListenOptions listen;
  PipeOptions pipe;
  RouteExplainOptions explain;
  DecodeOptions decode;
  InteropOptions interop;
  LoadServeOptions load_serve;
  LoadRunOptions load_run;
};

void add_serve(CLI::App& app, ServeOptions& serve, GlobalOptions& global) {
  CLI::App& command =
      add_command(app, "serve", "A peer with example routes; prints what is pushed to /log",
                  "wayport serve --listen tcp://127.0.0.1:9090 --listen 'tls://:9443?cert=c.pem&key=k.pem'");
  command.add_option("--listen", serve.listen, "Address to listen on; may be repeated. Port 0: any free one")
      ->required()
      ->type_name("URL")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      .add_option_function<std::vector<std::string>>(
          "--peer-version",
          [&serve](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              const Result<framing::PeerVersion> version = read_version(text);
              if (!version) throw CLI::ValidationError("--peer-version", version.error().detail);
              serve.versions.push_back(*version);
            }
          },
          "Release that clients speak: 2.0 to 2.6; once, or once for each --listen")
      ->type_name("VERSION")
      ->default_str("2.5")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_wire(command, serve.wire);
  add_read(command, "--read-timeout", serve.read_timeout, read_duration,
           "Sessions end when no packet came for so long; 0: never", "TIME", "0");
  add_read(command, "--drain-timeout", serve.drain_timeout, parse_duration,
           "For what runs when the process is told to end, or is replaced; then it is cut off. -1s: no bound", "TIME",
           "15s");
  add_read(command, "--close-timeout", serve.close_timeout, read_duration,
           "What running handlers of one session get when it closes", "TIME", "as --drain-timeout");
  command.add_option("--loops", global.loops, "Event loops; 0: one per core")->default_str("0");
  add_json(command, serve.json, "Lines of JSON");
  command.preparse_callback([&global](std::size_t) {
    global.loops = 0;
    if (!global.log_level) global.log_level = LogLevel::warning;
  });
  command.footer(
      command.get_footer() +
      "\n\nRoutes:\n"
      "  pull /echo                     any body back\n"
      "  pull /sum                      of a json array of whole numbers, or of a protobuf message {a=1, b=2}\n"
      "  pull /sleep?ms=N               answers after N milliseconds\n"
      "  pull /fail?code=N&text=T       fails with that status\n"
      "  pull /sessions                 ids of the sessions\n"
      "  pull /call_back?path=P         pulls P from the caller, passes the reply on\n"
      "  pull /relay?to=ID&path=P       the same from another session\n"
      "  pull /broadcast?path=P         pushes the body to P of all other sessions\n"
      "  push /log                      printed\n"
      "\nSignals:\n"
      "  SIGTERM, SIGINT                stops accepting, answers what was read, ends; the second one ends at once\n"
      "  SIGUSR2                        starts the program anew with the listening sockets; when the new process is\n"
      "                                 ready, this one ends as on SIGTERM. Nobody is refused, no reply is lost\n"
      "Sockets passed by systemd (LISTEN_FDS) are used, and systemd is told (NOTIFY_SOCKET).");
}

void add_decode(CLI::App& app, DecodeOptions& decode) {
  CLI::App& command = add_command(app, "decode", "Shows packets from files and captures, one line each",
                                  "tcpdump -i lo -w - tcp port 9090 | wayport decode teleport --in pcap -");
  command.require_subcommand(1);
  CLI::App& teleport = add_command(
      command, "teleport", "Packets of Teleport 2.0 to 2.6",
      "echo 000000157010011a102f67726f75702f686f6d652f6a736f6e0000000173 | wayport decode teleport --in hex");
  teleport.add_option("FILE", decode.file, "What to read; -: standard input")->default_str("-");
  teleport
      .add_option_function<std::string>(
          "--in",
          [&decode](const std::string& text) {
            const Result<CaptureForm> form = read_form(text);
            if (!form) throw CLI::ValidationError("--in", form.error().detail);
            decode.form = *form;
          },
          "hex: digits; raw: bytes of one direction; pcap: a capture. By default what it looks like")
      ->type_name("FORM");
  teleport
      .add_option("--port", decode.ports,
                  "TCP port of the connections in a capture to show; may be repeated. By default all")
      ->type_name("PORT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_limits(teleport, decode.limits);
  add_json(teleport, decode.json, "One JSON object per packet");
}

void add_interop(CLI::App& app, InteropOptions& interop) {
  CLI::App& command =
      add_command(app, "interop", "One role of one case of integration/CONTRACT.md, as INTEROP_* say",
                  "INTEROP_ROLE=client INTEROP_CASE=order INTEROP_ADDRESS=tcp://server:9000 INTEROP_SEED=1 "
                  "\\\n    INTEROP_TIMEOUT=10 INTEROP_VERSION=2.5 INTEROP_CODEC=json INTEROP_HEADER=json "
                  "INTEROP_GZIP=0 wayport interop");
  command
      .add_option_function<std::string>(
          "--broken",
          [&interop](const std::string& text) {
            if (text != "status" && text != "frame") {
              throw CLI::ValidationError("--broken", "\"" + escape(text) + "\" is no defect: status or frame");
            }
            interop.broken = text == "status" ? InteropOptions::Broken::status : InteropOptions::Broken::frame;
          },
          "Breaks a promise, to show that a suite can fail. status: /interop/fail answers a code that is one too high; "
          "frame: a link-server leaves out each 100th message")
      ->type_name("DEFECT");
  command.footer(
      command.get_footer() +
      "\n\nRoles: server, client, link-server, link-client, stream-server, stream-client. (gateway: wayport-gateway.)\n"
      "Exit codes: 0 passed, 1 not (why is on standard error), 2 a variable is missing or wrong, 127 not supported.");
}

void add_load(CLI::App& app, LoadServeOptions& serve, LoadRunOptions& run) {
  CLI::App& load = *app.add_subcommand("load", "Calls under load, and what became of each");
  load.require_subcommand(1);
  load.fallthrough();
  CLI::App& serving =
      add_command(load, "serve", "Answers calls and remembers them; says at its end what was done twice",
                  "wayport load serve tcp://127.0.0.1:9000");
  serving.add_option("URL", serve.addresses, "Where to listen")->required();
  serving.add_option("--callers", serve.callers_max, "Whose calls are remembered; more are refused")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  CLI::App& running =
      add_command(load, "run", "Calls, dials again when a session is lost, and counts outcomes and stalls",
                  "wayport load run --clients 10 --time 30s tcp://a:9000 tcp://b:9000");
  running.add_option("URL", run.addresses, "Peers that are the same to the caller")->required();
  running.add_option("--clients", run.clients, "Each with a session of its own")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, LoadRunOptions::kClientsMax));
  running.add_option("--outstanding", run.outstanding, "Calls of a client at one time")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, LoadRunOptions::kOutstandingMax));
  add_read(running, "--time", run.time, read_positive_duration, "In which calls begin", "TIME", "10s");
  add_read(running, "--pause", run.pause, read_duration, "From a reply to the next call", "TIME", "1ms");
  add_read(running, "--timeout", run.timeout, read_positive_duration, "Of one call", "TIME", "30s");
  running.add_option("--padding", run.padding, "Bytes that each call and its reply carry in addition")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{0}, LoadRunOptions::kPaddingMax));
}

void define(CLI::App& app, Commands& commands, GlobalOptions& global) {
  app.footer("wayport COMMAND --help says more, with an example.");
  app.require_subcommand(1);
  app.set_version_flag("--version", kVersion, "Print the version");
  add_read(app, "--log-level", global.log_level, parse_log_level, "Of standard error: debug, info, warning, error, off",
           "LEVEL", "error; serve: warning");

  add_serve(app, commands.serve, global);

  CLI::App& call = add_command(app, "call", "One pull; prints the reply's body, exits 1 on an error reply",
                               "wayport call tcp://127.0.0.1:9090 /sum --body '[1,2]'");
  add_call(call, commands.call);
  add_json(call, commands.call.json, "The outcome as a JSON object: code, codec, gzip, body; or code, text, origin");

  CLI::App& push = add_command(app, "push", "One push; there is no reply",
                               "wayport push tcp://127.0.0.1:9090 /log --codec string --body 'hello'");
  add_call(push, commands.push);

  CLI::App& listen = add_command(app, "listen", "Dials, stays, prints every push, and answers pulls as serve does",
                                 "wayport listen tcp://127.0.0.1:9090 --json");
  listen.add_option("URL", commands.listen.url, "Address of the peer, such as tcp://127.0.0.1:9090")->required();
  add_read(listen, "--timeout", commands.listen.timeout, read_positive_duration, "For the dial", "TIME", "5s");
  add_version(listen, commands.listen.wire);
  add_wire(listen, commands.listen.wire);
  add_json(listen, commands.listen.json, "Lines of JSON");

  CLI::App& pipe = add_command(app, "pipe", "Joins standard input and output to a stream, until both have ended",
                               "echo hello | wayport pipe route+tls://gateway:9000/10.1.2.3:7");
  pipe.add_option("URL", commands.pipe.url,
                  "Address to dial: any stack, such as tcp://127.0.0.1:7 or snet+tls://host:7")
      ->required();
  add_read(pipe, "--timeout", commands.pipe.timeout, read_positive_duration, "For the dial", "TIME", "5s");
  add_read(
      pipe, "--quiet", commands.pipe.quiet, read_duration,
      "After the input's end, ends when nothing came for so long (snet and kcp cannot tell an end); 0: when the peer "
      "ends",
      "TIME", "0");

  CLI::App& route = *app.add_subcommand("route", "Questions about a route gateway");
  route.require_subcommand(1);
  CLI::App& explain =
      add_command(route, "explain", "Which backend a client gets that says IDENTIFY, and by which rule; dials nothing",
                  "wayport route explain --config gateway.toml 10.1.2.3:7001\n"
                  "  wayport route explain --gogateway --config config.toml --json - < token");
  explain.add_option("IDENTIFY", commands.explain.identify, "What the client says; - reads standard input")->required();
  explain.add_option("--config", commands.explain.config, "The gateway's file")->type_name("FILE")->required();
  explain.add_flag("--gogateway", commands.explain.gogateway, "The file is a config.toml of gogateway-light");
  explain.add_flag("--allow-any-target", commands.explain.allow_any_target, "As the gateway's flag")
      ->needs("--gogateway");
  explain.add_option("--route", commands.explain.route, "Only the route of that name")->type_name("NAME");
  explain.add_flag("--lookup", commands.explain.lookup, "Look names up, and judge their addresses");
  add_read(explain, "--timeout", commands.explain.timeout, read_positive_duration, "For each route", "TIME", "10s");
  add_json(explain, commands.explain.json, "An object for each route");

  add_decode(app, commands.decode);
  add_interop(app, commands.interop);
  add_load(app, commands.load_serve, commands.load_run);

  // Everything behind it, --help included, is for the benchmarks' own command line.
  CLI::App& bench = *app.add_subcommand("bench", "Messages per second, CPU time and latency, beside a raw echo");
  bench.prefix_command();
  bench.set_help_flag();
}

Invocation chosen(const CLI::App& app, Commands& commands, const GlobalOptions& global) {
  Invocation invocation{global, {}};
  const std::string name = app.get_subcommands().front()->get_name();
  if (name == "serve") invocation.command = std::move(commands.serve);
  if (name == "call") invocation.command = std::move(commands.call);
  if (name == "push") invocation.command = std::move(commands.push);
  if (name == "listen") invocation.command = std::move(commands.listen);
  if (name == "pipe") invocation.command = std::move(commands.pipe);
  if (name == "route") invocation.command = std::move(commands.explain);
  if (name == "decode") invocation.command = std::move(commands.decode);
  if (name == "interop") invocation.command = commands.interop;
  if (name == "load") {
    const bool serves = app.get_subcommands().front()->get_subcommands().front()->get_name() == "serve";
    if (serves) invocation.command = std::move(commands.load_serve);
    if (!serves) invocation.command = std::move(commands.load_run);
  }
  if (name == "bench") invocation.command = BenchOptions{app.get_subcommands().front()->remaining()};
  return invocation;
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Commands commands;
  GlobalOptions global;
  CLI::App app("wayport: symmetric RPC over long-lived connections, on the command line", "wayport");
  define(app, commands, global);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are "errors" with exit code 0.
    const int code = app.exit(error, out, err);
    return {std::nullopt, code == 0 ? 0 : 2};
  }
  return {chosen(app, commands, global), 0};
}

}  // namespace wayport::tools
