// What a run has shown, collected from the console: report.json.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::tool {

/// Lines of the hypervisor: `@ <event> {json}`. Events that the report knows:
///   memory  {"image": bytes, "used": bytes}              -> penstock
///   exits   {"domain": name, "<reason>": count, ...}     -> exits.<name>
///   blocked {"device", "domain", "target", "evidence"}   -> blocked[]
///   device  {"domain", "bdf", "interrupts", ...}         -> domains[].devices[]
///   domain  {"name", "state", ...}                       -> domains[]
///   statement {"device", "support", "risks": [], ...}    -> statements[] (core/pci/statement.hpp)
///   audit   {"ok", "streams", "violations": [], ...}     -> audits[]
///   end     {}                                           -> the hypervisor has switched the board
///   off
/// All of them, and others, are kept in events[] in their order. Lines of a domain that start with
/// `RESULT ` go to its results[].
class RunReport {
 public:
  /// `domains`: array of {name, kernel, cpus, memory, devices: [{bdf, ...}]}.
  RunReport(std::string board, nlohmann::json domains, nlohmann::json penstock);

  void line(std::string_view source, std::string_view text);

  [[nodiscard]] bool ended() const { return ended_; }
  /// It ended because it could not go on, such as without a domain that can run.
  [[nodiscard]] bool gave_up() const { return gave_up_; }
  /// A domain of the configuration that the hypervisor has not run, and its reason.
  [[nodiscard]] std::optional<std::string> not_run() const;
  /// A domain that is off because the hypervisor had to stop it.
  [[nodiscard]] std::optional<std::string> crashed() const;
  /// What an audit has found first; nothing when all were good.
  [[nodiscard]] const std::optional<std::string>& violation() const { return violation_; }
  /// `ok` and `why` as the caller saw the board end.
  [[nodiscard]] nlohmann::json finish(bool ok, const std::string& why, double seconds) const;

 private:
  void event(std::string_view name, const nlohmann::json& body);
  void take_audit(const nlohmann::json& body);
  void merge_device(const nlohmann::json& body);
  void merge_domain(const nlohmann::json& body);
  [[nodiscard]] nlohmann::json* domain(const std::string& name);

  std::string board_;
  nlohmann::json domains_;
  nlohmann::json penstock_;
  nlohmann::json exits_ = nlohmann::json::object();
  nlohmann::json blocked_ = nlohmann::json::array();
  nlohmann::json events_ = nlohmann::json::array();
  nlohmann::json audits_ = nlohmann::json::array();
  nlohmann::json statements_ = nlohmann::json::array();
  std::optional<std::string> violation_;
  nlohmann::json messages_ = nlohmann::json::array();  // warnings and errors of the hypervisor
  bool ended_ = false;
  bool gave_up_ = false;
};

/// `value` as a text for a file; bytes of a guest that are no UTF-8 are replaced.
[[nodiscard]] std::string to_text(const nlohmann::json& value);

}  // namespace penstock::tool
