// MetricsPage: counters as Prometheus reads them, in the text format, version 0.0.4.
//
//   MetricsPage page;
//   page.add("wayport_link_frames_total", "Data frames forwarded", MetricsPage::Kind::counter, {"to", "client"}, 17);
//   page.text();
//
// Rows of one family (a name and a help) come one after the other. Not thread-safe.
#pragma once

#include <memory>
#include <string>

#include "wayport/base/time.h"

namespace wayport::gateway {

class MetricsPage {
 public:
  enum class Kind : unsigned char { counter, gauge };
  struct Label {
    const char* name = "";  // empty: none
    std::string value{};
  };

  MetricsPage();
  ~MetricsPage();
  MetricsPage(const MetricsPage&) = delete;
  MetricsPage& operator=(const MetricsPage&) = delete;

  void add(const char* family, const char* help, Kind kind, Label label, double number);
  void add(const char* family, const char* help, Kind kind, double number) { add(family, help, kind, {}, number); }
  // CPU time, memory, descriptors.
  void add_process(Duration uptime, bool draining);
  std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace wayport::gateway
