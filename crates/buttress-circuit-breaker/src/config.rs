//! The `[circuit_breaker]` table of a configuration file.

use std::fmt;

use buttress_core::duration::{Setting, parse_setting};
use serde::{Deserialize, Deserializer, de};

use crate::breaker::{CircuitBreaker, CircuitBreakerBuilder};
use crate::settings::{Settings, Window};
use crate::settings_error::SettingsError;

/// A circuit breaker as a configuration file writes it.
///
/// ```
/// use buttress_circuit_breaker::CircuitBreakerConfig;
///
/// let config: CircuitBreakerConfig = toml::from_str(
///     r#"
///     failure_rate = 0.5
///     window = "20s"
///     minimum_calls = 5
///     open_for = "60s"
///     "#,
/// )?;
/// let breaker = config.breaker()?;
/// # let _ = breaker;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
#[non_exhaustive]
pub struct CircuitBreakerConfig {
    /// Whether the layer stands in the stack.
    pub enabled: bool,
    /// What the circuits do.
    pub settings: Settings,
    /// What circuits are kept by; without it there is one for all.
    pub by: Option<By>,
    /// Seeds jitter and the hash of keys, so that runs repeat; at random without one. No key of the table:
    /// a configuration has one seed for all that draws lots.
    pub seed: Option<u64>,
}

/// What circuits are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum By {
    /// The key of the request.
    Key,
}

impl CircuitBreakerConfig {
    /// A breaker as configured; `by` is for the layer to say.
    ///
    /// # Errors
    ///
    /// None for a configuration that was read; one that was changed since may make no sense.
    pub fn breaker(&self) -> Result<CircuitBreaker, SettingsError> {
        self.builder().build()
    }

    /// Which calls the rates look at, for whoever aligns windows of time.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.settings.window
    }

    /// A builder of such a breaker, for what no file says: to which instant windows are aligned.
    #[must_use]
    pub fn builder(&self) -> CircuitBreakerBuilder {
        let builder = CircuitBreaker::builder(self.settings.clone());
        match self.seed {
            Some(seed) => builder.seed(seed),
            None => builder,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    enabled: Option<bool>,
    preset: Option<Preset>,
    consecutive_failures: Option<Count>,
    failure_rate: Option<Rate>,
    slow_call_rate: Option<Rate>,
    slow_call: Option<Setting>,
    window: Option<WindowText>,
    minimum_calls: Option<Count>,
    open_for: Option<Setting>,
    open_growth: Option<Number>,
    open_max: Option<Setting>,
    probes: Option<Count>,
    close_after: Option<Count>,
    by: Option<By>,
}

/// The presets of [`Settings`], by name. Keys that stand beside one have the last word.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    EnvoyOutlier,
    Finagle,
    Gobreaker,
    Polly,
    Resilience4j,
}

impl Fields {
    /// What holds where nothing is said.
    fn usual(&self) -> Settings {
        match self.preset {
            None => Settings::nothing(),
            Some(Preset::EnvoyOutlier) => Settings::envoy_outlier(),
            Some(Preset::Finagle) => Settings::finagle(),
            Some(Preset::Gobreaker) => Settings::gobreaker(),
            Some(Preset::Polly) => Settings::polly(),
            Some(Preset::Resilience4j) => Settings::resilience4j(),
        }
    }
}

impl TryFrom<Fields> for CircuitBreakerConfig {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let open_for = fields
            .open_for
            .map_or(fields.usual().open_for, |time| time.0);
        if let Some(Setting(open_max)) = fields.open_max
            && open_max < open_for
        {
            return Err(format!(
                "open_max: is less than `open_for`, which is {}; raise the one or lower the other",
                buttress_core::duration::format_duration(open_for)
            ));
        }
        check_minimum(&fields)?;
        let config = Self {
            enabled: fields.enabled.unwrap_or(true),
            by: fields.by,
            settings: settings(fields),
            seed: None,
        };
        match config.settings.check() {
            Ok(()) => Ok(config),
            Err(error) => Err(format!("{}: {}", error.setting(), error.problem())),
        }
    }
}

/// A window of calls never holds more calls than that, and a rate that is never looked at trips nothing.
fn check_minimum(fields: &Fields) -> Result<(), String> {
    let defaults = fields.usual();
    let window = fields
        .window
        .as_ref()
        .map_or(defaults.window, |window| window.0);
    let minimum = fields.minimum_calls.as_ref().map(|count| count.0);
    let has_rate = fields.failure_rate.is_some() || fields.slow_call_rate.is_some();
    let looks = minimum.is_some() || has_rate;
    match (window, minimum.unwrap_or(defaults.minimum_calls)) {
        (Window::Calls(calls), minimum) if looks && minimum > calls => Err(format!(
            "minimum_calls: is {minimum}, which is more than `window` ever holds; give a number of at most {calls}, or a larger `window`"
        )),
        _ => Ok(()),
    }
}

fn settings(fields: Fields) -> Settings {
    let mut settings = fields.usual();
    if let Some(Count(count)) = fields.consecutive_failures {
        settings = settings.or_consecutive_failures(count);
    }
    if let Some(Rate(rate)) = fields.failure_rate {
        settings = settings.or_failure_rate(rate);
    }
    if let Some(Rate(rate)) = fields.slow_call_rate {
        settings = settings.on_slow_call_rate(rate);
    }
    if let Some(Setting(time)) = fields.slow_call {
        settings = settings.slow_call(time);
    }
    if let Some(WindowText(window)) = fields.window {
        settings = settings.window(window);
    }
    if let Some(Count(calls)) = fields.minimum_calls {
        settings = settings.minimum_calls(calls);
    }
    if let Some(Setting(time)) = fields.open_for {
        settings = settings.open_for(time);
    }
    if let Some(Number(factor)) = fields.open_growth {
        settings = settings.open_growth(factor);
    }
    if let Some(Setting(time)) = fields.open_max {
        settings = settings.open_max(time);
    }
    if let Some(Count(probes)) = fields.probes {
        settings = settings.probes(probes);
    }
    if let Some(Count(successes)) = fields.close_after {
        settings = settings.close_after(successes);
    }
    settings
}

/// A number of things, at least one.
#[derive(Deserialize)]
#[serde(try_from = "i64")]
struct Count(u32);

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(count: i64) -> Result<Self, String> {
        let known = u32::try_from(count).ok().filter(|&count| count > 0);
        known.map(Self).ok_or_else(|| {
            format!(
                "found {count}, expected a whole number from 1 to {}",
                u32::MAX
            )
        })
    }
}

/// A share of calls.
struct Rate(f64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Number(rate) = Number::deserialize(deserializer)?;
        if rate > 0.0 && rate <= 1.0 {
            Ok(Self(rate))
        } else {
            Err(de::Error::custom(format!(
                "found {rate}, expected a share of the calls above 0 and at most 1, such as 0.5"
            )))
        }
    }
}

/// A number with or without decimals.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 0.5 or 2")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A window: a number of calls, or a time as text.
struct WindowText(Window);

impl<'de> Deserialize<'de> for WindowText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = WindowText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a number of calls such as 100, or a duration in quotes such as \"20s\"",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<WindowText, E> {
                let time = parse_setting(text).map_err(E::custom)?;
                Ok(WindowText(Window::Time(time)))
            }

            fn visit_u64<E: de::Error>(self, calls: u64) -> Result<WindowText, E> {
                self.visit_i64(i64::try_from(calls).unwrap_or(i64::MAX))
            }

            fn visit_i64<E: de::Error>(self, calls: i64) -> Result<WindowText, E> {
                let most = crate::settings::MOST_CALLS;
                let known = u32::try_from(calls).ok();
                known
                    .filter(|calls| (1..=most).contains(calls))
                    .map(|calls| WindowText(Window::Calls(calls)))
                    .ok_or_else(|| {
                        E::custom(format!(
                            "found {calls}, expected a number of calls from 1 to {most}"
                        ))
                    })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
