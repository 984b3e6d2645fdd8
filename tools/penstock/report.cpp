#include "tools/penstock/report.hpp"

#include <utility>

#include "tools/penstock/console.hpp"

namespace penstock::tool {
namespace {

constexpr std::string_view kEventMark = "@ ";
constexpr std::string_view kResultMark = "RESULT ";

std::string text_of(const nlohmann::json& body, const char* key) {
  const auto found = body.find(key);
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

RunReport::RunReport(std::string board, nlohmann::json domains, nlohmann::json penstock)
    : board_(std::move(board)), domains_(std::move(domains)), penstock_(std::move(penstock)) {
  for (nlohmann::json& d : domains_) {
    d["results"] = nlohmann::json::array();
    if (!d.contains("state")) d["state"] = "unknown";
  }
}

void RunReport::line(std::string_view source, std::string_view text) {
  if (source != kHypervisorSource) {
    if (!text.starts_with(kResultMark)) return;
    if (nlohmann::json* d = domain(std::string(source))) {
      (*d)["results"].push_back(text.substr(kResultMark.size()));
    }
    return;
  }
  if (text.starts_with("warning: ") || text.starts_with("error: ")) messages_.push_back(text);
  if (!text.starts_with(kEventMark)) return;
  text.remove_prefix(kEventMark.size());
  const std::size_t blank = text.find(' ');
  const std::string_view name = text.substr(0, blank);
  const std::string_view rest =
      blank == std::string_view::npos ? std::string_view("{}") : text.substr(blank + 1);
  nlohmann::json body = nlohmann::json::parse(rest, nullptr, false);
  if (!body.is_object()) body = {{"unreadable", rest}};
  event(name, body);
}

void RunReport::event(std::string_view name, const nlohmann::json& body) {
  nlohmann::json entry = body;
  entry["event"] = name;
  events_.push_back(entry);
  if (name == "memory") penstock_.update(body);
  if (name == "blocked") blocked_.push_back(body);
  if (name == "audit") take_audit(body);
  if (name == "statement") statements_.push_back(body);
  if (name == "device") merge_device(body);
  if (name == "domain") merge_domain(body);
  if (name == "end") {
    ended_ = true;
    gave_up_ = body.value("ok", nlohmann::json(true)) == false;
  }
  if (name == "exits") {
    nlohmann::json counts = body;
    counts.erase("domain");
    exits_[text_of(body, "domain")] = counts;
  }
}

void RunReport::take_audit(const nlohmann::json& body) {
  audits_.push_back(body);
  const auto ok = body.find("ok");
  if (violation_ || (ok != body.end() && *ok == true)) return;
  const auto found = body.find("violations");
  const bool told = found != body.end() && found->is_array() && !found->empty();
  const nlohmann::json first = told ? found->front() : body;
  violation_ = first.is_string() ? first.get<std::string>() : to_text(first);
}

std::optional<std::string> RunReport::not_run() const {
  for (const nlohmann::json& d : domains_) {
    const std::string state = text_of(d, "state");
    if (state != "left-out" && state != "not-started") continue;
    return "domain " + text_of(d, "name") +
           (state == "left-out" ? " is left out: " : " could not be started: ") +
           text_of(d, "reason");
  }
  return {};
}

std::optional<std::string> RunReport::crashed() const {
  for (const nlohmann::json& d : domains_) {
    if (text_of(d, "state") == "crashed") return text_of(d, "name");
  }
  return {};
}

nlohmann::json* RunReport::domain(const std::string& name) {
  for (nlohmann::json& d : domains_) {
    if (text_of(d, "name") == name) return &d;
  }
  return nullptr;
}

void RunReport::merge_domain(const nlohmann::json& body) {
  if (nlohmann::json* d = domain(text_of(body, "name"))) d->update(body);
}

void RunReport::merge_device(const nlohmann::json& body) {
  nlohmann::json* d = domain(text_of(body, "domain"));
  if (d == nullptr) return;
  nlohmann::json facts = body;
  facts.erase("domain");
  for (nlohmann::json& device : (*d)["devices"]) {
    if (text_of(device, "bdf") == text_of(body, "bdf")) {
      device.update(facts);
      return;
    }
  }
  (*d)["devices"].push_back(facts);
}

nlohmann::json RunReport::finish(bool ok, const std::string& why, double seconds) const {
  return {{"board", board_},
          {"ok", ok},
          {"why", why},
          {"penstock", penstock_},
          {"domains", domains_},
          {"exits", exits_},
          {"blocked", blocked_},
          {"audits", audits_},
          {"messages", messages_},
          {"events", events_},
          {"statements", statements_},
          {"seconds", seconds}};
}

std::string to_text(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace penstock::tool
